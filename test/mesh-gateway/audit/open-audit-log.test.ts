import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createReadStream, existsSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { silentLog } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import {
  type AuditLogOptions,
  openAuditLog,
} from '../../../mesh-gateway/src/audit/open-audit-log.ts'
import { makeNamedPipe, needNamedPipes } from '../../support/named-pipe.ts'
import { SAMPLE_DELEGATION as delegation, SAMPLE_EGRESS as egress } from './sample-records.ts'

describe('the audit log', () => {
  let dir: string
  let dropped: number
  const open = (file: string, more: Partial<AuditLogOptions> = {}) =>
    openAuditLog({ file, metrics: { auditDropped: () => (dropped += 1) }, log: silentLog, ...more })
  const lines = async (file: string) => (await readFile(file, 'utf8')).trimEnd().split('\n')

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-audit-'))
    dropped = 0
  })
  afterEach(() => rm(dir, { recursive: true }))

  it('has the fields in the order of the reference, whatever the order they came in', async () => {
    const file = join(dir, 'new', 'audit.log')
    const audit = open(file)
    audit.write(egress)
    audit.write(delegation)
    await audit.close()
    const [first = '', second = ''] = await lines(file)
    assert.deepEqual(
      Object.keys(JSON.parse(first)),
      'time event request_id trace_id tenant agent_id token_jti destination_host destination_port destination_ip method path action_allowed mode reason rule policy_generation duration_ms bytes_up bytes_down status root_id chain refused_actor certificate client_ip client_port override repeated phase open_id'.split(
        ' ',
      ),
    )
    assert.deepEqual(
      Object.keys(JSON.parse(second)),
      'time event request_id trace_id tenant agent_id destination_host destination_port destination_ip action_allowed mode reason rule policy_generation duration_ms bytes_up bytes_down caller callee grpc_method grpc_status delegation_id root_id hop chain token_jti certificate client_ip client_port asked_from asked_to asked_method parent_id repeated phase open_id'.split(
        ' ',
      ),
    )
    assert.match(JSON.parse(first).time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    assert.equal((await stat(file)).mode & 0o777, 0o600)
  })

  it('stays one line per record whatever a peer puts into its names', async () => {
    const file = join(dir, 'audit.log')
    const audit = open(file)
    const hostile = 'x\n{"event":"egress","action_allowed":true}\r\u2028\u0000"\\ \ud800'
    audit.write({ ...egress, destination_host: hostile, path: hostile })
    await audit.close()
    const all = await lines(file)
    assert.equal(all.length, 1)
    assert.equal(JSON.parse(all[0] ?? '').path, hostile)
  })

  it('loses nothing when it is closed at once, and appends to what is there', async () => {
    const file = join(dir, 'audit.log')
    for (const round of [0, 1]) {
      const audit = open(file)
      for (let i = 0; i < 5000; i += 1) audit.write({ ...egress, request_id: `${round}-${i}` })
      await audit.close()
    }
    const ids = (await lines(file)).map((line) => JSON.parse(line).request_id)
    assert.equal(ids.length, 10_000)
    assert.equal(ids[4999], '0-4999')
    assert.equal(new Set(ids).size, 10_000)
  })

  it('goes on in a new file after logrotate has moved the old one, without losing or mixing a line', async () => {
    const file = join(dir, 'audit.log')
    const audit = open(file)
    for (let i = 0; i < 30_000; i += 1) {
      audit.write({ ...egress, request_id: String(i) })
      if (i === 10_000) {
        await rename(file, `${file}.1`)
        const reopened = audit.reopen()
        for (let j = 0; j < 100; j += 1) audit.write(delegation)
        await reopened
      }
    }
    await audit.close()
    const before = await lines(`${file}.1`)
    const after = await lines(file)
    assert.ok(after.length > 0)
    assert.equal(before.length + after.length, 30_100)
    for (const line of [...before, ...after]) JSON.parse(line)
  })

  for (const [what, how, take] of [
    ['was moved', 'moved', (file: string) => rename(file, `${file}.1`)],
    ['was removed', 'removed', (file: string) => unlink(file)],
    [
      'was removed with its directory',
      'removed',
      (file: string) => rm(dirname(file), { recursive: true }),
    ],
    [
      'was moved and made anew',
      'moved',
      async (file: string) => {
        await rename(file, `${file}.1`)
        await writeFile(file, '')
      },
    ],
  ] as const)
    for (const shared of [false, true])
      it(`goes on in a new file, with a warning, when the old one ${what} without a signal${shared ? ', among several processes' : ''}`, async () => {
        const file = join(dir, 'logs', 'audit.log')
        const warned = Promise.withResolvers<object>()
        const audit = open(file, {
          shared,
          checkMs: 0,
          log: {
            error: assert.fail,
            info: assert.fail,
            warn: (facts) => warned.resolve(Object(facts)),
          },
        })
        audit.write({ ...egress, request_id: 'before' })
        while (!existsSync(file) || (await stat(file)).size === 0) await setImmediate()
        await take(file)
        audit.write({ ...egress, request_id: 'after' })
        assert.deepEqual(await warned.promise, { file, how })
        audit.write({ ...egress, request_id: 'later' })
        await audit.close()
        const ids = (await lines(file)).map((line) => JSON.parse(line).request_id)
        assert.deepEqual(ids, ['after', 'later'])
        assert.equal(audit.healthy(), true)
      })

  it('keeps its lines, and is not healthy, while the file that was removed cannot be made anew', async () => {
    const file = join(dir, 'logs', 'audit.log')
    const failed = Promise.withResolvers<void>()
    const works = Promise.withResolvers<void>()
    const audit = open(file, {
      checkMs: 0,
      retryMs: 20,
      log: { error: () => failed.resolve(), info: () => works.resolve(), warn() {} },
    })
    audit.write(egress)
    while ((await stat(file)).size === 0) await setImmediate()
    await rm(dirname(file), { recursive: true })
    await writeFile(dirname(file), 'a file where the directory was')
    audit.write({ ...egress, request_id: 'kept' })
    await failed.promise
    assert.equal(audit.healthy(), false)
    await unlink(dirname(file))
    await works.promise
    await audit.close()
    assert.deepEqual(
      (await lines(file)).map((line) => JSON.parse(line).request_id),
      ['kept'],
    )
  })

  it('survives a full disk: says so, counts what it drops, and writes what it kept when there is room again', async () => {
    const file = join(dir, 'audit.log')
    await symlink('/dev/full', file)
    const failed = Promise.withResolvers<void>()
    const works = Promise.withResolvers<void>()
    const audit = open(file, {
      maxBufferBytes: 2000,
      retryMs: 50,
      log: { error: () => failed.resolve(), info: () => works.resolve(), warn() {} },
    })
    audit.write(egress)
    await failed.promise
    assert.equal(audit.healthy(), false)
    for (let i = 0; i < 50; i += 1) audit.write(egress)
    assert.ok(dropped > 30)
    await unlink(file)
    await audit.reopen()
    await works.promise
    assert.equal(audit.healthy(), true)
    await audit.close()
    assert.equal((await lines(file)).length, 51 - dropped)
  })

  it('gives up closing on a disk that stays full', async () => {
    const audit = open('/dev/full', { retryMs: 50 })
    audit.write(egress)
    await audit.close()
    assert.equal(audit.healthy(), false)
  })

  it('says which option to change when it cannot be opened', () => {
    assert.throws(
      () => open(dir),
      (error) =>
        error instanceof MeshError &&
        error.code === 'MESH_DISK_WRITE' &&
        error.message.includes('EISDIR') &&
        error.hint.includes('audit.file'),
    )
  })

  it('keeps every line for a slow reader of a pipe', async function () {
    needNamedPipes(this)
    const fifo = join(dir, 'fifo')
    makeNamedPipe(fifo)
    const reader = createReadStream(fifo, { highWaterMark: 1024 })
    let text = ''
    reader.on('data', (chunk) => {
      text += chunk
    })
    const ended = once(reader, 'end')
    await setImmediate()
    const audit = open(fifo)
    for (let i = 0; i < 2000; i += 1) audit.write(egress)
    await audit.close()
    await ended
    assert.equal(text.trimEnd().split('\n').length, 2000)
  })
})
