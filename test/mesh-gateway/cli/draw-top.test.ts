import assert from 'node:assert/strict'
import { drawTop } from '../../../mesh-gateway/src/cli/draw-top.ts'
import type { Seen, TopFacts } from '../../../mesh-gateway/src/cli/top-facts.ts'

const NOW = Date.UTC(2026, 10, 30, 12)
const NONE = Object.freeze({ allow: 0, audit: 0, deny: 0 })
const OVERVIEW: TopFacts['overview'] = {
  ...{ version: '0.1.0', started: '2026-11-30T09:00:00.000Z', identity: 'spiffe://m/gateway/gw' },
  ...{ ready: true, missing: [], degraded: [], workers: [], memory_bytes: 64 * 1_048_576 },
  silent_workers: 0,
  policy: { generation: 3, tenants: 1 },
  decisions: { egress: NONE, delegation: NONE },
  open: { calls: 1, tunnels: 2 },
}
const QUIET: TopFacts = {
  overview: OVERVIEW,
  ...{ refused: [], trees: [], peers: [], limits: { counted_in: 'process', uses: [] } },
  certificates: [{ kind: 'certificate', name: 'x', until: '2026-11-30T17:00:00.000Z' }],
}

describe('what `mesh-gateway top` draws', () => {
  const seen = (facts: Partial<TopFacts> | null, atMs = 0): Seen => ({
    ...{ url: 'http://gw', atMs, fault: facts === null ? 'ECONNREFUSED' : null },
    facts: facts === null ? null : { ...QUIET, ...facts },
  })
  const draw = (now: Seen, before: readonly Seen[] = []) => drawTop([now], before, NOW)

  it('of a quiet gateway is four lines', () => {
    assert.equal(
      draw(seen({})),
      [
        'spiffe://m/gateway/gw  ready  version 0.1.0  up 3 hours  64 MiB  policy generation 3',
        'calls     0 allowed, 0 refused, 1 open',
        'requests  0 allowed, 0 refused, 2 open',
        'ends      certificate ends in 5 hours',
      ].join('\n'),
    )
  })

  it('has rates from the second look on, and none below zero when a worker was started again', () => {
    const counts = (allow: number, deny: number) => ({
      overview: { ...OVERVIEW, decisions: { egress: NONE, delegation: { allow, audit: 1, deny } } },
    })
    const first = seen(counts(100, 8), 1_000)
    const text = draw(seen(counts(121, 3), 3_000), [first])
    assert.match(text, /^calls {5}10\.5\/s allowed, 0\.0\/s refused, 1 open$/m)
  })

  it('says what is missing and what is broken, and whether all workers run', () => {
    const overview = {
      ...OVERVIEW,
      ready: false,
      missing: [{ what: 'policy', reason: 'there is none' }],
      degraded: [{ what: 'keys', reason: 'the latest reload failed' }],
      silent_workers: 1,
      workers: [
        { worker: 1, state: 'ready', pid: 1 },
        { worker: 2, state: 'waiting', pid: null },
      ],
    }
    const text = draw(seen({ overview }))
    assert.match(text, /^! one worker does not answer: what is theirs is missing here$/m)
    assert.match(text, /not ready .* 1 of 2 workers ready/)
    assert.match(text, /\n! policy: there is none\n! keys: the latest reload failed\n/)
  })

  it('shows what is full, what is avoided, and of long lists the first', () => {
    const uses = [
      { key: 'egress:acme/a', kind: 'rate', used: 9, most: 10 },
      { key: 'egress:acme/b', kind: 'rate', used: 1, most: 10 },
    ]
    const address = { ip: '10.0.0.7', port: 7443, streams: 0, avoided_ms: 1_500, failures: 2 }
    const peers = [{ name: 'b.acme.m', addresses: [address, { ...address, failures: 0 }] }]
    const refused = Array.from({ length: 12 }, (_, i) => ({
      ...{ time: '2026-11-30T11:59:58.000Z', event: 'egress', tenant: 'acme', agent_id: `a-${i}` },
      ...{ destination_host: 'x.test', reason: 'MESH_POLICY_DENIED', rule: 'acme.json#/egress' },
    }))
    const text = draw(seen({ limits: { counted_in: 'supervisor', uses }, peers, refused }))
    assert.match(
      text,
      /LIMITS counted in the supervisor\nKEY.*\negress:acme\/a {2}rate {2}9 of 10$/,
    )
    assert.match(text, /PEERS AVOIDED\nPEER.*\nb\.acme\.m {2}10\.0\.0\.7 7443 {2}2 {9}1\.5 s\n/)
    assert.match(text, /11:59:58 {2}acme\/a-7 .*\nand 4 more\n/)
  })

  it('lets no name write to the terminal', () => {
    const trees = [
      {
        ...{ root_id: 'r\u001b[2J', origin: 'a\u202eb\nc', duration_ms: 1, delegations: 1 },
        states: { running: 1 },
      },
    ]
    const overview = { ...OVERVIEW, identity: 'gw\u001b]0;x\u0007' }
    const text = draw(seen({ trees, overview }))
    for (const mark of ['\u001b', '\u0007', '\u202e']) assert.ok(!text.includes(mark), text)
    assert.match(text, /a\?b\?c/)
    assert.equal(draw(seen(null)), 'http://gw  ECONNREFUSED')
  })
})
