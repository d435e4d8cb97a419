/**
 * Measures from inside how long the main thread of a process stands still: loaded into the gateway with `--import`. Whoever connects to
 * STOPS_SOCKET reads the longest stop since the last one that did, in milliseconds of the clock and of CPU of the thread.
 */
import { createServer } from 'node:net'
import { isMainThread } from 'node:worker_threads'

const path = process.env.STOPS_SOCKET
if (isMainThread && path !== undefined) {
  let longest = { wallMs: 0, cpuMs: 0 }
  let lastMs = performance.now()
  let lastCpu = process.threadCpuUsage()
  // between two ticks there may be several turns of the event loop, so that this is never too little
  const tick = () => {
    const nowMs = performance.now()
    const { user, system } = process.threadCpuUsage(lastCpu)
    longest = {
      wallMs: Math.max(longest.wallMs, nowMs - lastMs),
      cpuMs: Math.max(longest.cpuMs, (user + system) / 1_000),
    }
    lastMs = nowMs
    lastCpu = process.threadCpuUsage()
  }
  setInterval(tick, 1).unref()
  const server = createServer((socket) => {
    socket.on('error', () => {})
    tick()
    socket.end(JSON.stringify(longest))
    longest = { wallMs: 0, cpuMs: 0 }
  })
  server.on('error', () => {})
  server.listen(path).unref()
}
