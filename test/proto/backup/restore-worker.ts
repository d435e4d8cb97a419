/** Restores an archive: node restore-worker.ts ARCHIVE DIR [force]. Run by restore.test.ts, and killed. */
import { writeSync } from 'node:fs'
import { MeshError } from '@clawmesh/proto'
import { openArchive, restoreTree } from '@clawmesh/proto/backup'
import { PASSPHRASE } from './forge-archive.ts'

const [, , archive = '', dir = '', force] = process.argv
try {
  writeSync(1, 'begin\n')
  await restoreTree({
    input: openArchive(archive),
    passphrase: PASSPHRASE,
    kind: 'ca',
    version: '0.1.0',
    dir,
    force: force === 'force',
    accepts: () => true,
    lastName: 'ca.json',
    prove: async () => [],
  })
  writeSync(1, 'done\n')
} catch (error) {
  writeSync(1, `${error instanceof MeshError ? `${error.code} ${error.message}` : String(error)}\n`)
}
