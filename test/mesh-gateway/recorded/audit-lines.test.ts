/** The lines of audit logs: of a file, of what logrotate has left of it, and no more of a line than a record can have. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { auditLines, withRotated } from '../../../mesh-gateway/src/recorded/audit-lines.ts'
import { readLines } from '../../../mesh-gateway/src/recorded/read-lines.ts'

describe('the lines of an audit log', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-lines-'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  async function linesOf(name: string, content: string | Buffer): Promise<(string | null)[]> {
    const file = join(dir, name)
    await writeFile(file, content)
    const lines = []
    for await (const { text } of auditLines(file)) lines.push(text)
    return lines
  }

  it('are read of a file and of one that is compressed, by its name', async () => {
    assert.deepEqual(await linesOf('audit.log', 'a\nb\n'), ['a', 'b'])
    assert.deepEqual(await linesOf('audit.log.1.gz', gzipSync('a\nb\n')), ['a', 'b'])
    assert.deepEqual((await linesOf('audit.gz.log', gzipSync('a\n'))).length > 0, true)
    await assert.rejects(linesOf('torn.gz', gzipSync('a\nb\n').subarray(0, 12)), {
      code: 'MESH_AUDIT_UNREADABLE',
      message: `cannot read ${join(dir, 'torn.gz')} (Z_BUF_ERROR)`,
    })
    await assert.rejects(linesOf('none.gz', 'a\n'), { code: 'MESH_AUDIT_UNREADABLE' })
  })

  it('that are longer than 1 MiB are passed over', async () => {
    const long = 'x'.repeat(1024 * 1024)
    assert.deepEqual(
      (await linesOf('audit.log', `${long}\n${long}y\nz\n`)).map((line) => line?.length ?? null),
      [1024 * 1024, null, 1],
    )
  })

  it('of what logrotate has left come before those of the file, by name', async () => {
    const rotated = [
      ...['audit.log-20261127.gz', 'audit.log-20261128', 'audit.log-20261128-1732788000.gz'],
      ...['audit.log.1', 'audit.log.2.gz', 'audit.log.20261128', 'audit.log.123456'],
    ]
    const others = [
      ...['audit.log.bak', 'audit.log.gz', 'audit.log.1.bz2', 'xaudit.log.1', 'audit.log2'],
      ...['audit.log-2026112', 'audit.log.1.gz.tmp', 'other.log', 'audit.log.x1', 'audit.log1.1'],
      ...['audit.log-20261128-17327880001', 'audit.logx.1'],
    ]
    for (const name of [...rotated, ...others, 'audit.log']) await writeFile(join(dir, name), '')
    assert.deepEqual(
      await withRotated(join(dir, 'audit.log')),
      [...rotated.toSorted(), 'audit.log'].map((name) => join(dir, name)),
    )
  })

  it('of a directory that is not there are not read, and it is said', async () => {
    const nowhere = join(dir, 'nowhere')
    await assert.rejects(withRotated(join(nowhere, 'audit.log')), {
      code: 'MESH_AUDIT_UNREADABLE',
      message: `cannot read ${nowhere} (ENOENT)`,
    })
    await mkdir(nowhere)
    // the file itself is looked for by its reader
    assert.deepEqual(await withRotated(join(nowhere, 'audit.log')), [join(nowhere, 'audit.log')])
  })
})

describe('a line of a stream', () => {
  async function linesOf(pieces: readonly string[], maxBytes: number) {
    async function* stream() {
      for (const piece of pieces) yield Buffer.from(piece)
    }
    const lines = []
    for await (const { text, whole } of readLines(stream(), maxBytes)) lines.push([text, whole])
    return lines
  }

  const table: [pieces: string[], lines: [string | null, boolean][]][] = [
    [[], []],
    [[''], []],
    [['\n'], [['', true]]],
    [['ab'], [['ab', false]]],
    [['ab\n'], [['ab', true]]],
    [['abcd\n'], [['abcd', true]]],
    [['abcde\n'], [[null, true]]],
    [['abcde'], [[null, false]]],
    [['abc', 'd\n'], [['abcd', true]]],
    [
      ['abc', 'de\n', 'f\n'],
      [
        [null, true],
        ['f', true],
      ],
    ],
    [
      ['abcde', 'f', 'g\nh'],
      [
        [null, true],
        ['h', false],
      ],
    ],
    [
      ['a\nb', 'c\n\nd'],
      [
        ['a', true],
        ['bc', true],
        ['', true],
        ['d', false],
      ],
    ],
  ]
  for (const [pieces, lines] of table)
    it(`is ${JSON.stringify(lines)} of ${JSON.stringify(pieces)}, with four bytes at most`, async () => {
      assert.deepEqual(await linesOf(pieces, 4), lines)
    })
})
