/** A program that revokes one token after another, as tests start it to kill it: `<list> <name>`. It prints each that is done. */
import { writeSync } from 'node:fs'
import { createListReader } from '../../../mesh-gateway/src/revocation/list-reader.ts'
import { createListWriter } from '../../../mesh-gateway/src/revocation/list-writer.ts'

const [path = '', name = ''] = process.argv.slice(2)
const writer = createListWriter({ path, reader: createListReader(path) })
const since = new Date().toISOString()
for (let n = 0; ; n += 1) {
  const value = `${name}-${n}`
  const add = {
    kind: 'token',
    value,
    reason: 'x'.repeat(n % 400),
    since,
    until: null,
    by: null,
  } as const
  // each is entered five times: the file is written anew while it grows, too
  for (let again = 0; again < 5; again += 1) await writer.change(() => ({ add }))
  writeSync(1, `${value}\n`)
}
