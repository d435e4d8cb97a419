import assert from 'node:assert/strict'
import { MeshError, Secret } from '@clawmesh/proto'
import { createOperationalLog } from '../../../mesh-gateway/src/telemetry/operational-log.ts'

describe('the operational log', () => {
  const lines: string[] = []
  const stream = { write: (line: string) => lines.push(line) }
  beforeEach(() => {
    lines.length = 0
  })

  it('is JSON lines with level, time, the code and the cause of an error', () => {
    const log = createOperationalLog('info', stream)
    const cause = new Error('ENOSPC')
    log.error({ err: new MeshError('MESH_DISK_WRITE', undefined, { cause }) }, 'it failed')
    const line = JSON.parse(lines[0] ?? '')
    assert.equal(line.level, 'error')
    assert.equal(line.msg, 'it failed')
    assert.equal(line.err.code, 'MESH_DISK_WRITE')
    assert.match(JSON.stringify(line.err), /ENOSPC/)
    assert.ok(!Number.isNaN(Date.parse(line.time)))
  })

  it('shows no secret', () => {
    const log = createOperationalLog('info', stream)
    const fields = { token: 'hush', request: { authorization: 'hush' }, held: new Secret('hush') }
    log.info(fields, 'a request')
    assert.ok(!lines.join('').includes('hush'))
  })

  it('changes its level while running', () => {
    const log = createOperationalLog('warn', stream)
    log.info({}, 'unheard')
    log.setLevel('debug')
    log.debug({}, 'heard')
    assert.equal(lines.length, 1)
  })
})
