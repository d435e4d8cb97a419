/** A process that appends lines to a file as a worker does: told which ones by messages; an empty one ends it. */
import { createLineWriter } from '../../../mesh-gateway/src/audit/line-writer.ts'

const [, , target = ''] = process.argv
const writer = createLineWriter<string>({
  target,
  shared: true,
  format: (line) => `${line}\n`,
  gatherMs: 1,
  retryMs: 20,
  onDropped: () => process.send?.('dropped'),
  onHealth: (error) => process.send?.(error === null ? 'writes' : 'fails'),
})
process.on('message', (message) => {
  if (message !== '') writer.write(String(message))
  else
    void writer.close().then(() => {
      process.disconnect()
    })
})
process.send?.('open')
