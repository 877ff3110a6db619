// What every client script shares; see ../python/lines.py.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

export const broker = process.env.BROKER
export const topic = process.env.TOPIC
export const partitions = 4
export const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

export function lines () {
  return readFileSync(process.env.LINES, 'utf8').replace(/\n$/, '').split('\n')
}

export async function main (phases) {
  const [, script, phase] = process.argv
  await phases[phase]()
  console.log(`${basename(script)} ${phase}: ok`)
  process.exit(0)
}
