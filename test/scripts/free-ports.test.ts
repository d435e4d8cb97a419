import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { besides, freePorts } from '../../scripts/dev/free-ports.ts'

describe('free ports', () => {
  it('are none that the kernel gives to connections that go out', async () => {
    const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
    const [low = 0, high = 0] = text.trim().split(/\s+/).map(Number)
    const [first, last] = besides([low, high])
    const found = await freePorts(50)
    assert.equal(new Set(found).size, 50)
    for (const port of found) assert.ok(port >= first && port <= last, `${port}`)
  })

  it('can be listened on, by TCP and by UDP', async () => {
    const [port = 0] = await freePorts(1)
    const tcp = createServer().listen(port, '127.0.0.1')
    const udp = createSocket('udp4').bind(port, '127.0.0.1')
    await Promise.all([once(tcp, 'listening'), once(udp, 'listening')])
    await Promise.all([
      new Promise((resolve) => tcp.close(resolve)),
      new Promise<void>((resolve) => udp.close(resolve)),
    ])
  })

  it('are none that somebody has, by TCP or by UDP', async () => {
    const [first = 0] = await freePorts(1)
    const among = [first, first] as const
    assert.deepEqual(await freePorts(1, among), [first])
    const tcp = createServer().listen(first, '127.0.0.1')
    await once(tcp, 'listening')
    const none = { message: `no 1 free ports from ${first} to ${first}` }
    await assert.rejects(freePorts(1, among), none)
    await new Promise((resolve) => tcp.close(resolve))
    const udp = createSocket('udp4').bind(first, '127.0.0.1')
    await once(udp, 'listening')
    await assert.rejects(freePorts(1, among), none)
    await new Promise<void>((resolve) => udp.close(resolve))
    assert.deepEqual(await freePorts(1, among), [first])
    await assert.rejects(freePorts(2, among), /no 2 free ports/)
  })

  it('are looked for where there are more of them', () => {
    assert.deepEqual(besides([32_768, 60_999]), [10_000, 32_767])
    assert.deepEqual(besides([1_024, 30_000]), [30_001, 65_535])
    assert.deepEqual(besides([32_768, 65_535]), [10_000, 32_767])
    assert.deepEqual(besides([10_100, 65_000]), [10_000, 65_535])
    assert.deepEqual(besides([1_024, 65_535]), [10_000, 65_535])
  })
})
