import assert from 'node:assert/strict'
import { whatIsMissing } from '../../../mesh-gateway/src/admin/readiness.ts'

describe('a gateway is ready', () => {
  const notBefore = new Date('2026-11-29T12:00:00Z')
  const notAfter = new Date('2026-11-30T12:00:00Z')
  const missingAt = (time: Date | number) =>
    whatIsMissing({
      identity: { current: () => ({ notBefore, notAfter }) },
      policy: { readiness: () => ({ reason: null }) },
      revocations: { problem: () => null },
      audit: { healthy: () => true },
      auditFile: 'audit.log',
      draining: () => false,
      now: () => Number(time),
    })

  it('from the beginning of its certificate to its end', () => {
    assert.deepEqual(missingAt(notBefore), [])
    assert.deepEqual(missingAt(Number(notAfter) - 1), [])
    assert.deepEqual(missingAt(notAfter), [
      { what: 'identity', reason: 'the certificate expired 2026-11-30T12:00:00.000Z' },
    ])
  })

  it('not while the clock is before its certificate, which says so', () => {
    assert.deepEqual(missingAt(Number(notBefore) - 1), [
      {
        what: 'identity',
        reason:
          'the clock was set back: it says 2026-11-29T11:59:59.999Z, and the certificate is good from 2026-11-29T12:00:00.000Z; set the clock right',
      },
    ])
  })
})
