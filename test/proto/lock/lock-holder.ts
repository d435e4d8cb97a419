/**
 * A program that changes a number in a file under a lock, as tests start it to kill it. `once <step>`: kills itself at that step of
 * the taking, the work and the giving back; prints `done` when there is no such step. `loop`: goes on until it is killed.
 * `hold`: has the lock, says `held`, and keeps it.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as turn } from 'node:timers/promises'

const [mode = '', dir = '', killAt = '0'] = process.argv.slice(2)
let steps = 0
/** What Node opens to load modules is no step. */
let loaded = false

function step(): void {
  if (!loaded) return
  steps += 1
  if (mode === 'once' && steps === Number(killAt)) process.kill(process.pid, 'SIGKILL')
}

/** Each call to the system is two steps: before it, and after it. */
function stepped<A extends unknown[], R>(call: (...args: A) => R) {
  return function (this: unknown, ...args: A): R {
    step()
    let result: R | null = null
    try {
      result = call.apply(this, args)
      return result
    } finally {
      if (result instanceof Promise) void result.then(step, step)
      else step()
    }
  }
}

fs.openSync = stepped(fs.openSync)
fs.closeSync = stepped(fs.closeSync)
fs.promises.open = stepped(fs.promises.open)
fs.promises.rename = stepped(fs.promises.rename)
DatabaseSync.prototype.exec = stepped(DatabaseSync.prototype.exec)
DatabaseSync.prototype.close = stepped(DatabaseSync.prototype.close)
syncBuiltinESMExports()
const { withLock } = await import('@clawmesh/proto/lock')
const { writeAtomic } = await import('@clawmesh/agent-sdk/mesh')
loaded = true

const note = (text: string) => fs.appendFileSync(`${dir}/ledger`, `${process.pid} ${text}\n`)

async function change(): Promise<void> {
  await withLock(`${dir}/a.lock`, async () => {
    note('enter')
    const next = Number(fs.readFileSync(`${dir}/count`, 'utf8')) + 1
    for (let i = 0; i < 5; i += 1) await turn()
    await writeAtomic(`${dir}/count`, `${next}`)
    note(`wrote ${next}`)
  })
}

if (mode === 'hold')
  await withLock(`${dir}/a.lock`, async () => {
    process.stdout.write('held\n')
    // a timer keeps the promise: one that nothing can settle is collected, and with it the lock
    await new Promise((resolve) => setTimeout(resolve, 3_600_000))
  })
else {
  do {
    await change()
    await turn()
  } while (mode === 'loop')
  process.stdout.write('done\n')
}
