import assert from 'node:assert/strict'
import fc from 'fast-check'
import type {
  AuditRecord,
  EgressAuditRecord,
} from '../../../mesh-gateway/src/audit/audit-record.ts'
import { foldRepeats } from '../../../mesh-gateway/src/audit/fold-repeats.ts'
import type { AuditLogHandle } from '../../../mesh-gateway/src/audit/open-audit-log.ts'
import { waitFor } from '../../support/wait-for.ts'

const refused: EgressAuditRecord = {
  event: 'egress',
  request_id: 'r',
  trace_id: null,
  tenant: 'acme',
  agent_id: 'bot-01',
  token_jti: 'j',
  destination_host: 'evil.test',
  destination_port: 443,
  destination_ip: null,
  method: 'CONNECT',
  path: null,
  override: null,
  action_allowed: false,
  mode: 'enforce',
  reason: 'MESH_POLICY_NOT_ALLOWED',
  rule: null,
  policy_generation: 1,
  duration_ms: 1,
  bytes_up: 1,
  bytes_down: 2,
  status: 403,
  root_id: null,
  chain: null,
  refused_actor: null,
  certificate: null,
  client_ip: '192.0.2.7',
  client_port: 40_000,
  phase: null,
  open_id: null,
}

describe('refusals that repeat', () => {
  const start = (more: { windowMs?: number; first?: number } = {}) => {
    const written: { readonly record: AuditRecord; readonly repeated: number | undefined }[] = []
    let closed = false
    let folded = 0
    const audit: AuditLogHandle = {
      reopen: async () => {},
      flushSync() {},
      write: (record, repeated) => void written.push({ record, repeated }),
      healthy: () => true,
      async close() {
        closed = true
      },
    }
    const log = foldRepeats({ audit, onFolded: () => (folded += 1), ...more })
    return { log, written, closed: () => closed, folded: () => folded }
  }

  it('are written whole at first, and then counted in one record', () => {
    const { log, written, folded } = start({ first: 3 })
    for (let count = 0; count < 100; count += 1) log.write({ ...refused, request_id: `r-${count}` })
    assert.deepEqual(
      written.map(({ record }) => record.request_id),
      ['r-0', 'r-1', 'r-2'],
    )
    log.flush()
    assert.equal(written.length, 4)
    assert.equal(written[3]?.repeated, 97)
    assert.deepEqual(written[3]?.record, {
      ...refused,
      request_id: 'r-99',
      bytes_up: 97,
      bytes_down: 194,
    })
    assert.equal(folded(), 97)
    log.flush()
    assert.equal(written.length, 4)
  })

  it('lose the first of no kind: another agent, address, code or destination is another kind', () => {
    const { log, written } = start({ first: 1 })
    const kinds: Partial<EgressAuditRecord>[] = [
      {},
      { agent_id: 'bot-02' },
      { client_ip: '192.0.2.8' },
      { reason: 'MESH_POLICY_DENIED' },
      { destination_host: 'other.test' },
      { destination_port: 80 },
    ]
    for (let round = 0; round < 3; round += 1)
      for (const kind of kinds) log.write({ ...refused, ...kind })
    assert.equal(written.length, kinds.length)
    log.flush()
    assert.deepEqual(
      written.slice(kinds.length).map(({ repeated }) => repeated),
      kinds.map(() => 2),
    )
  })

  it('are never what was let through', () => {
    const { log, written } = start({ first: 1 })
    for (let count = 0; count < 50; count += 1) log.write({ ...refused, action_allowed: true })
    assert.equal(written.length, 50)
  })

  it('are not what was let through and is cut: a thousand cuts are a thousand lines', () => {
    const { log, written } = start({ first: 3 })
    const cut = { ...refused, destination_ip: '192.0.2.1', reason: 'MESH_TOKEN_REVOKED' }
    for (let count = 0; count < 1_000; count += 1) log.write(cut)
    assert.equal(written.length, 1_000)
    assert.ok(written.every(({ repeated }) => repeated === undefined))
  })

  it('are told when the window ends, and before the log is closed', async () => {
    const { log, written, closed } = start({ first: 1, windowMs: 20 })
    log.write(refused)
    log.write(refused)
    await waitFor('the summary', () => written.length === 2)
    log.write(refused)
    log.write(refused)
    assert.equal(written.length, 3)
    await log.close()
    assert.equal(closed(), true)
    assert.equal(written.length, 4)
  })

  it('take few lines and little memory, wherever they lead and from wherever they come', () => {
    const { log, written } = start()
    for (let count = 0; count < 20_000; count += 1)
      log.write({ ...refused, destination_host: `h-${count}.test` })
    log.flush()
    // fifty kinds by their destinations, ten of the rest, and one summary
    assert.equal(written.length, 61)
    written.length = 0
    for (let count = 0; count < 50_000; count += 1)
      log.write({
        ...refused,
        agent_id: null,
        tenant: null,
        client_ip: `10.${count >> 16}.${(count >> 8) & 255}.${count & 255}`,
      })
    log.flush()
    assert.ok(written.length <= 10_011, `${written.length} lines`)
  })

  it('are each told exactly once, whatever comes', () => {
    const kind = fc.record({
      agent_id: fc.constantFrom('a', 'b', null),
      client_ip: fc.constantFrom('192.0.2.1', '2001:db8::1', '2001:db8::2', null),
      reason: fc.constantFrom('MESH_RATE_LIMITED', 'MESH_POLICY_DENIED', null),
      destination_host: fc.constantFrom('x', 'y', null),
      action_allowed: fc.boolean(),
      flush: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(kind, { maxLength: 200 }), (all) => {
        const { log, written } = start({ first: 2 })
        for (const { flush, ...more } of all) {
          log.write({ ...refused, ...more })
          if (flush) log.flush()
        }
        log.flush()
        const told = written.reduce((sum, { repeated }) => sum + (repeated ?? 1), 0)
        assert.equal(told, all.length)
      }),
    )
  })
})
