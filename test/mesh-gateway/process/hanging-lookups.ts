/**
 * A program in which agents of one tenant ask for names that hang in the system's resolver, as many as they like: prints `file` when
 * a file has been read all the same, and `name` when another tenant has had its name looked up.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createResolver } from '../../../mesh-gateway/src/resolve/create-resolver.ts'

const resolver = createResolver({ timeoutMs: 600_000 })
for (let agent = 0; agent < 10; agent += 1)
  for (let i = 0; i < 20; i += 1)
    resolver.addresses(`hangs-${agent}-${i}`, `evil/bot-${agent}`).catch(() => {
      // where the system does not look at HOSTALIASES nothing hangs
    })
await readFile(fileURLToPath(import.meta.url))
process.stdout.write('file\n')
await resolver.addresses('localhost', 'good/bot')
process.stdout.write('name\n')
