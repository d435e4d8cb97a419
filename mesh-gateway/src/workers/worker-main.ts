/** The entry point of a worker process. For the supervisor only. */
import { openTerminal } from '../process/terminal.ts'
import { runWorker } from './run-worker.ts'

process.stdout.on('error', () => {
  // the supervisor is gone: the closed channel reports it
})
process.stderr.on('error', () => {
  // a closed log is no reason for a gateway to stop
})
await runWorker(openTerminal(process))
