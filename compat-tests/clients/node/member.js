// What the members of groups share; see ../python/member.py.
import { writeSync } from 'node:fs'

export const broker = process.env.BROKER
export const topic = process.env.TOPIC
export const group = process.env.GROUP
export const protocol = process.env.PROTOCOL
export const sessionTimeout = Number(process.env.SESSION_MS)
export const heartbeatInterval = sessionTimeout / 10

export function show (partition, offset, value) {
  writeSync(1, `${partition} ${offset} ${value}\n`)
}

export function whenLeaving (leave) {
  process.on('SIGTERM', async () => {
    await leave()
    process.exit(0)
  })
}
