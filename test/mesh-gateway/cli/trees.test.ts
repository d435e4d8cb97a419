import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { uuidV7 } from '@clawmesh/proto'
import { BEGAN_MS, CANCEL, lineOf, twiceTheSame, WATCH } from '../trees/records.ts'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

const MAIN = fileURLToPath(new URL('../../../mesh-gateway/src/cli/main.ts', import.meta.url))
/** Ids differ from run to run. */
const WITHOUT_IDS = /\s+[0-9a-f]{8}-[0-9a-f-]{27}$/gm

describe('mesh-gateway trees', function () {
  this.timeout(60_000)
  let place: Workplace
  const tree = twiceTheSame()
  const DRAWN = [
    'acme/planner',
    '└─ acme/researcher     ended                             +0.000 s  1.000 s',
    '   ├─ acme/writer      ended                             +0.100 s  0.300 s',
    '   │  └─ acme/b        ended                             +0.110 s  0.050 s',
    '   └─ acme/writer      ended                             +0.500 s  0.300 s',
    '      ├─ acme/planner  refused MESH_CHAIN_LOOP_DETECTED  +0.510 s  0.050 s',
    '      └─ acme/b        ended                             +0.520 s  0.050 s',
    '',
  ].join('\n')
  const head = (root: string) =>
    `tree ${root}  2026-11-29T12:00:00.000Z  1.000 s  6 delegations, 1 refused\n`

  before(async () => {
    place = await makeWorkplace()
    await place.write('audit.log', tree.lines.join(''))
  })
  after(() => place?.close())

  const drawn = async (...args: string[]) => {
    const { code, stdout, stderr } = await place.run('trees', ...args)
    return { code, stderr, text: stdout.replaceAll(WITHOUT_IDS, '') }
  }
  const fine = { code: 0, stderr: '', text: head(tree.root) + DRAWN }

  it('draws which delegation was made for which, with states and times, where root, hop and chain are the same', async () => {
    assert.deepEqual(await drawn(tree.root, '--audit', join(place.dir, 'audit.log')), fine)
  })

  it('finds the tree by the id of any delegation in it', async () => {
    for (const id of Object.values(tree.ids))
      assert.deepEqual(await drawn(id ?? '', '--audit', join(place.dir, 'audit.log')), fine)
    const none = uuidV7()
    const said = await drawn(none, '--audit', join(place.dir, 'audit.log'))
    assert.equal(said.code, 1)
    assert.match(said.stderr, /no call of the tree .* is recorded there\n.*hint: .*without an id/)
    assert.equal((await drawn('planner')).code, 2)
  })

  it('says the same as JSON, in the order of the drawing', async () => {
    const file = join(place.dir, 'audit.log')
    const { stdout } = await place.run('trees', tree.root, '--audit', file, '--json')
    const { nodes, ...facts } = JSON.parse(stdout)
    assert.deepEqual(facts, {
      ...{ root_id: tree.root, origin: 'acme/planner', duration_ms: 1000, delegations: 6 },
      ...{ began: '2026-11-29T12:00:00.000Z', ended: '2026-11-29T12:00:01.000Z' },
      ...{ states: { ended: 5, refused: 1 }, left_out: 0 },
    })
    const told = nodes.map(({ depth, callee, state, code, parent_id: parent }: never) => [
      ...[depth, callee, state, code, parent],
    ])
    const { first, one, two } = tree.ids
    assert.deepEqual(told, [
      [0, 'acme/researcher', 'ended', null, null],
      [1, 'acme/writer', 'ended', null, first],
      [2, 'acme/b', 'ended', null, one],
      [1, 'acme/writer', 'ended', null, first],
      [2, 'acme/planner', 'refused', 'MESH_CHAIN_LOOP_DETECTED', two],
      [2, 'acme/b', 'ended', null, two],
    ])
  })

  it('merges the logs of several gateways and rotated files in any order, compressed ones too, and passes over torn lines', async () => {
    const [a = '', b = '', c = '', d = '', e = '', f = ''] = tree.lines
    const dir = join(place.dir, 'many')
    await mkdir(dir)
    await writeFile(join(dir, 'gw-1.log'), f + d + e.slice(0, -40))
    await writeFile(join(dir, 'gw-2.log.2.gz'), gzipSync(a + c))
    await writeFile(join(dir, 'gw-2.log.1'), b + e)
    const files = ['gw-1.log', 'gw-2.log.2.gz', 'gw-2.log.1'].map((name) => join(dir, name))
    for (const order of [files, files.toReversed()]) {
      const said = await drawn(tree.root, '--audit', ...order)
      assert.equal(said.text, fine.text)
      assert.match(said.stderr, /1 line of DIR\/many\/gw-1\.log cannot be read, passed over/)
    }
  })

  it('reads audit.file of the configuration, with what logrotate has left of it', async () => {
    const log = join(place.dir, 'rotated', 'audit.log')
    await mkdir(join(log, '..'))
    await writeFile(`${log}.2.gz`, gzipSync(tree.lines.slice(0, 2).join('')))
    await writeFile(`${log}-20261129`, tree.lines.slice(2, 4).join(''))
    await writeFile(`${log}.1`, tree.lines.slice(4, 5).join(''))
    await writeFile(log, tree.lines.slice(5).join(''))
    // none of it
    await writeFile(`${log}.bak`, 'x')
    await place.write('with-log.json', { audit: { file: log } })
    assert.deepEqual(await drawn(tree.root, '--config', join(place.dir, 'with-log.json')), fine)
    await place.write('to-stdout.json', { audit: { file: 'stdout' } })
    const said = await drawn(tree.root, '--config', join(place.dir, 'to-stdout.json'))
    assert.deepEqual([said.code, said.text], [1, ''])
    assert.match(said.stderr, /the audit log goes to stdout\n.*hint: .*--audit -/)
  })

  it('reads the standard input', async () => {
    const child = spawn(process.execPath, [MAIN, 'trees', tree.root, '--audit', '-'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdin.end(tree.lines.join(''))
    assert.equal((await text(child.stdout)).replaceAll(WITHOUT_IDS, ''), fine.text)
  })

  it('says why a file cannot be read, a compressed one that is cut off too', async () => {
    const cut = join(place.dir, 'cut.gz')
    await writeFile(cut, gzipSync(tree.lines.join('')).subarray(0, 200))
    for (const [file, why] of [
      [cut, /cannot read DIR\/cut\.gz \(Z_BUF_ERROR\)/],
      [join(place.dir, 'absent'), /cannot read DIR\/absent \(ENOENT\)/],
    ] as const) {
      const said = await drawn(tree.root, '--audit', file)
      assert.equal(said.code, 1)
      assert.match(said.stderr, why)
    }
  })

  it('tells what runs, what was canceled, what was resumed, and what was cut', async () => {
    const root = uuidV7(BEGAN_MS)
    const first = uuidV7(BEGAN_MS)
    const within = (to: string, from: number, until: number, more: object = {}) => ({
      ...{ root, chain: ['planner', 'researcher'], to, id: uuidV7(), parent: first },
      ...{ from, until, ...more },
    })
    const open = (openId: string) => ({ phase: 'open', open_id: openId, grpc_status: null })
    const end = (openId: string) => ({ phase: 'end', open_id: openId })
    const canceled = within('canceled', 10, 100)
    const resumed = within('resumed', 20, 100, { code: 'MESH_PEER_LOST' })
    const cut = within('cut', 30, 100, { code: 'MESH_PEER_LOST' })
    const done = within('done', 40, 50)
    const long = within('long', 60, 5060, { more: open('l') })
    const lines = [
      // the end of one is read before its opening, as of files in another order
      { ...long, until: 9000, more: end('l') },
      { ...{ root, chain: ['planner'], to: 'researcher', id: first, parent: null }, from: 0 },
      canceled,
      { ...canceled, from: 70, until: 90, method: CANCEL },
      resumed,
      { ...within('resumed', 110, 200), id: resumed.id, from: 110, until: 200, method: WATCH },
      cut,
      done,
      // too late to cancel anything
      { ...done, from: 60, until: 61, method: CANCEL },
      long,
    ].map((one) =>
      lineOf({ until: 5000, ...one, ...(one.to === 'researcher' ? { more: open('r') } : {}) }),
    )
    await place.write('states.log', lines.join(''))
    const said = await drawn(root, '--audit', join(place.dir, 'states.log'))
    assert.equal(
      said.text.split('\n').slice(1).join('\n'),
      [
        'acme/planner',
        '└─ acme/researcher   running             +0.000 s  5.000 s',
        '   ├─ acme/canceled  canceled            +0.010 s  0.090 s',
        '   ├─ acme/resumed   ended               +0.020 s  0.180 s',
        '   ├─ acme/cut       cut MESH_PEER_LOST  +0.030 s  0.070 s',
        '   ├─ acme/done      ended               +0.040 s  0.021 s',
        '   └─ acme/long      ended               +0.060 s  8.940 s',
        '',
      ].join('\n'),
    )
  })

  it('lists the youngest trees, one a line, in bounded memory however long the log', async () => {
    const log = join(place.dir, 'long.log')
    const roots = Array.from({ length: 3_000 }, (_, n) => uuidV7(BEGAN_MS + n))
    const one = (root: string) =>
      lineOf({
        ...{ root, chain: ['planner'], to: 'researcher', id: uuidV7(), parent: null },
        ...{ from: 0, until: 10 },
      })
    // in no order
    await writeFile(
      log,
      roots
        .toSorted(() => Math.random() - 0.5)
        .map(one)
        .join(''),
    )
    const { stdout, stderr } = await place.run('trees', '--audit', log, '--last', '3', '--json')
    const { trees, older } = JSON.parse(stdout)
    assert.deepEqual(
      trees.map(({ root_id: root }: { root_id: string }) => root),
      roots.slice(-3).reverse(),
    )
    assert.equal(older, true)
    assert.match(stderr, /there are older ones; --last 30 lists more/)
    const shown = await place.run('trees', '--audit', join(place.dir, 'audit.log'))
    assert.equal(
      shown.stdout,
      [
        `ROOT${' '.repeat(34)}BEGAN                     BY            LASTED   DELEGATIONS`,
        `${tree.root}  2026-11-29T12:00:00.000Z  acme/planner  1.000 s  6 delegations, 1 refused`,
        '',
      ].join('\n'),
    )
  })

  it('draws every delegation once, whatever a log says of parents that are absent, in a circle or ever deeper', async () => {
    const root = uuidV7(BEGAN_MS)
    const [x = '', y = ''] = [uuidV7(), uuidV7()]
    const of = (from: string, to: string, id: string, parent: string | null) =>
      lineOf({ ...{ root, chain: ['o', from], to, id, parent }, from: 0, until: 1 })
    const ids = Array.from({ length: 5_000 }, () => uuidV7())
    const deep = ids.map((id, n) => of(`a${n}`, `a${n + 1}`, id, ids[n - 1] ?? null))
    const lines = [
      of('p', 'q', x, y),
      of('q', 'p', y, x),
      of('z', 'lost', uuidV7(), uuidV7()),
      ...deep,
    ]
    await place.write('odd.log', lines.join(''))
    const file = join(place.dir, 'odd.log')
    const { stdout, code } = await place.run('trees', root, '--audit', file, '--json')
    const { nodes } = JSON.parse(stdout)
    assert.deepEqual([code, nodes.length], [0, lines.length])
    const drawing = await drawn(root, '--audit', file)
    assert.equal(drawing.text.trimEnd().split('\n').length, lines.length + 2)
    assert.match(drawing.text, /acme\/lost \(of acme\/z, for what is not in the log\)/)
  })
})
