/** The process of a worker. A supervisor runs it; nobody else has a use for it. */
import { openTerminal } from '../process/terminal.ts'
import { runWorker } from './run-worker.ts'

process.stdout.on('error', () => {
  // the supervisor has gone: that is told by the channel to it
})
process.stderr.on('error', () => {
  // nobody listens to the log any more: no reason for a gateway to stop
})
await runWorker(openTerminal(process))
