/** ulogd2 with deploy/segmentation/ulogd.conf, in the namespace whose drops it writes. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '../../support/wait-for.ts'
import { shipped } from '../shipped.ts'
import type { NetworkNamespace } from './network-namespace.ts'

export type DropLine = Readonly<Record<string, unknown>>

/** As the operator starts it, but for the place of the file, drops.jsonl in `dir`. Resolves with what reads its lines. */
export async function startUlogd(
  space: NetworkNamespace,
  dir: string,
): Promise<() => Promise<readonly DropLine[]>> {
  const file = join(dir, 'drops.jsonl')
  const changes = { '/var/log/clawmesh/drops.jsonl': file, '"syslog"': '"stdout"' }
  await writeFile(join(dir, 'ulogd.conf'), await shipped('segmentation/ulogd.conf', changes))
  space.start('ulogd', ['--configfile', join(dir, 'ulogd.conf')])
  const listeners = () => space.run('cat', '/proc/net/netfilter/nfnetlink_log')
  await waitFor('ulogd', async () => /^\s*12\s/m.test(await listeners()))
  return async () =>
    (await readFile(file, 'utf8').catch(() => ''))
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
}
