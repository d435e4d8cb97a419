import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkDnsServers, readDnsServers } from '../../../mesh-gateway/src/doctor/dns-servers.ts'
import type { CheckResult } from '../../../mesh-gateway/src/doctor/finding.ts'
import { checkLimitsStore, readLimitsStore } from '../../../mesh-gateway/src/doctor/limits-store.ts'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { type DnsDouble, startDnsDouble } from '../../support/dns-double.ts'
import { needProgram } from '../../support/need-program.ts'
import { type RedisServer, startRedisServer } from '../../support/redis-server.ts'

const whats = ({ findings }: CheckResult) => findings.map(({ what }) => what)

describe('the doctor asks the DNS servers of the configuration', () => {
  let answering: DnsDouble
  let silent: DnsDouble
  before(async () => {
    answering = await startDnsDouble(() => ({ ips: [], ttl: 0 }))
    silent = await startDnsDouble(() => null)
  })
  after(async () => {
    await answering.close()
    await silent.close()
  })
  const examined = async (...servers: string[]) =>
    checkDnsServers(await readDnsServers(servers, 'mesh.internal', 200))

  it('and is content with an answer, also that there is no such name', async () => {
    const found = await examined(answering.server)
    assert.deepEqual(whats(found), [])
    assert.equal(found.about, answering.server)
  })

  it('and names each one that is dead, with what follows from it', async () => {
    const dead = `127.0.0.1:${await freePort()}`
    const found = await examined(answering.server, silent.server, dead)
    assert.deepEqual(whats(found), [
      `the DNS server ${silent.server} does not answer`,
      `the DNS server ${dead} does not answer: nothing listens there`,
    ])
    assert.match(found.findings[0]?.why ?? '', /the other servers are asked after it/)
    assert.match(found.findings[0]?.todo ?? '', /dig @127\.0\.0\.1 -p \d+ asks it$/)
    assert.match((await examined(dead)).findings[0]?.why ?? '', /^no peer and no destination/)
  })
})

describe('the doctor asks the Redis of the configuration', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-doctor-'))
    await writeFile(join(dir, 'right'), 'hunter2\n')
    await writeFile(join(dir, 'wrong'), 'sesame\n')
  })
  after(() => rm(dir, { recursive: true, force: true }))

  const facts = (url: string, passwordFile: string | null = null) =>
    readLimitsStore({
      ...{ url, username: null, caFile: null, prefix: 'clawmesh:' },
      passwordFile: passwordFile === null ? null : join(dir, passwordFile),
    })

  it('and says that it is dead, and what the gateway does meanwhile', async () => {
    const url = `redis://127.0.0.1:${await freePort()}`
    const found = await facts(url)
    assert.deepEqual(whats(checkLimitsStore(found, 'refuse')), [
      `${url}: it cannot be reached (ECONNREFUSED)`,
    ])
    const [refusing, local] = (['refuse', 'local'] as const).map(
      (whenAway) => checkLimitsStore(found, whenAway).findings[0]?.why,
    )
    assert.match(refusing ?? '', /is refused until it answers/)
    assert.match(local ?? '', /each gateway counts by itself/)
  })

  it('and names a password file that cannot be read', async () => {
    const found = await facts('redis://127.0.0.1:1', 'absent')
    assert.match(found.error ?? '', /^limits\.redis\.passwordFile: .*absent cannot be read/)
  })

  describe('which runs', () => {
    let redis: RedisServer
    before(async function () {
      needProgram(this, 'redis-server')
      redis = await startRedisServer({ password: 'hunter2' })
    })
    after(() => redis?.close())

    it('and is content when it takes the password', async () => {
      assert.deepEqual(await facts(redis.url, 'right'), { url: redis.url, error: null })
    })

    it('and says that it refuses a wrong one, or none, without showing it', async () => {
      for (const password of ['wrong', null]) {
        const { error } = await facts(redis.url, password)
        assert.match(error ?? '', /^it refuses the gateway \((?:NOAUTH|WRONGPASS)\)$/)
      }
    })

    it('and says that it does not answer in time', async () => {
      redis.hang()
      try {
        assert.equal((await facts(redis.url, 'right')).error, 'it does not answer in time')
      } finally {
        redis.goOn()
      }
    })
  })
})
