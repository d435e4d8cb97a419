/** The question for the TTL of SRV records as it goes out, and what is read of any answer. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { decode, encode } from 'dns-packet'
import { readTtlMs, srvTtlMs } from '../../../../mesh-gateway/src/resolve/srv-ttl.ts'

const NAME = '_grpc._tcp.a.test'
const DATA = { target: 'one.test', port: 7443 }
/** Nobody waits for as long: what is not found out is told at once, or the test ends. */
const NEVER_MS = 600_000

interface Answer {
  readonly records?: readonly (readonly [type: 'SRV' | 'A', ttl: number])[]
  readonly questions?: number
  readonly response?: boolean
  readonly id?: number
}

function packet({ records = [], questions = 1, response = true, id = 1 }: Answer): Buffer {
  const bytes = encode({
    ...{ type: 'response', id, flags: 0x180 },
    questions: Array.from({ length: questions }, () => ({ type: 'SRV', name: NAME })),
    answers: records.map(([type, ttl]) =>
      type === 'SRV'
        ? { type, name: NAME, ttl, data: DATA }
        : { type, name: NAME, ttl, data: '192.0.2.1' },
    ),
  })
  if (!response) bytes[2] = (bytes[2] ?? 0) & 0x7f
  return bytes
}

/** A name in one byte of each record, or a pointer, and data of so many bytes: as no library of ours writes it. */
function compressed(ttls: readonly number[], name: Buffer): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(0x8180, 2)
  header.writeUInt16BE(ttls.length, 6)
  const records = ttls.map((ttl) => {
    const fixed = Buffer.alloc(10)
    fixed.writeUInt16BE(33, 0)
    fixed.writeUInt32BE(ttl, 4)
    return Buffer.concat([name, fixed])
  })
  return Buffer.concat([header, ...records])
}

describe('the TTL of SRV records', () => {
  for (const [what, answer, expected] of [
    ['no record', {}, null],
    ['one', { records: [['SRV', 30]] }, 30_000],
    [
      'the smallest of several',
      {
        records: [
          ['SRV', 60],
          ['SRV', 30],
          ['SRV', 90],
        ],
      },
      30_000,
    ],
    [
      'none of records of another type',
      {
        records: [
          ['A', 5],
          ['SRV', 30],
          ['A', 6],
        ],
      },
      30_000,
    ],
    ['none where all are of another type', { records: [['A', 5]] }, null],
    ['zero', { records: [['SRV', 0]] }, 0],
    ['the longest', { records: [['SRV', 2 ** 31 - 1]] }, (2 ** 31 - 1) * 1_000],
    ['zero where the highest bit is set', { records: [['SRV', 2 ** 31]] }, 0],
    ['what no question goes before', { questions: 0, records: [['SRV', 30]] }, 30_000],
    ['what two questions go before', { questions: 2, records: [['SRV', 30]] }, 30_000],
    ['nothing of a question', { response: false, records: [['SRV', 30]] }, null],
  ] as const)
    it(`is ${what}`, () => assert.equal(readTtlMs(packet(answer)), expected))

  it('is read of compressed names, and of the first 256 records', () => {
    const root = Buffer.from([0])
    for (const name of [
      root,
      Buffer.from([0xc0, 0]),
      Buffer.from([0xff, 0xff]),
      Buffer.from([1, 97, 0xc0, 12]),
      Buffer.from([2, 97, 97, 0]),
    ])
      assert.equal(readTtlMs(compressed([30, 20], name)), 20_000, name.toString('hex'))
    const many = Array.from({ length: 300 }, (_, at) => 1_000 - at)
    assert.equal(readTtlMs(compressed(many, root)), (1_000 - 255) * 1_000)
  })

  it('is not read beyond the end of a message, and a record that is cut is none', () => {
    const whole = compressed([30, 20], Buffer.from([0]))
    assert.equal(readTtlMs(whole.subarray(0, -1)), 30_000)
    assert.equal(readTtlMs(compressed([30], Buffer.from([0])).subarray(0, -1)), null)
    assert.equal(readTtlMs(compressed([30], Buffer.from([5, 97]))), null)
    assert.equal(readTtlMs(compressed([30], Buffer.from([0])).subarray(0, 12)), null)
    assert.equal(readTtlMs(Buffer.alloc(11, 0xff)), null)
    assert.equal(readTtlMs(Buffer.alloc(0)), null)
    const cutQuestion = packet({ questions: 1, records: [['SRV', 30]] }).subarray(0, 14)
    assert.equal(readTtlMs(cutQuestion), null)
  })

  async function ask(
    name: string,
    answer: (id: number) => readonly Buffer[],
    timeoutMs = NEVER_MS,
    address = '127.0.0.1',
  ) {
    const questions: Buffer[] = []
    const socket = createSocket(address === '127.0.0.1' ? 'udp4' : 'udp6')
    socket.on('message', (message, from) => {
      questions.push(message)
      for (const one of answer(message.readUInt16BE(0))) socket.send(one, from.port, from.address)
    })
    socket.bind(0, address)
    await once(socket, 'listening')
    const { port } = socket.address()
    try {
      const server = address === '127.0.0.1' ? `${address}:${port}` : `[${address}]:${port}`
      return { ttlMs: await srvTtlMs(name, server, timeoutMs), questions }
    } finally {
      socket.close()
    }
  }
  const good = (id: number) => packet({ id, records: [['SRV', 30]] })

  it('is asked for in one question that wants recursion, over IPv4 and IPv6', async () => {
    const own = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
    const hasIpv6 = own.some(({ address }) => address === '::1')
    for (const address of hasIpv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
      const { ttlMs, questions } = await ask(`${NAME}.`, (id) => [good(id)], NEVER_MS, address)
      assert.equal(ttlMs, 30_000)
      assert.equal(questions.length, 1)
      const { flag_rd, type, questions: asked } = decode(questions[0] ?? Buffer.alloc(0))
      assert.deepEqual([flag_rd, type], [true, 'query'])
      assert.deepEqual(asked, [{ name: NAME, type: 'SRV', class: 'IN' }])
    }
  })

  it('is that of the answer to this question, and no other message is one', async () => {
    const { ttlMs } = await ask(NAME, (id) => [
      Buffer.alloc(0),
      Buffer.alloc(1),
      packet({ id, records: [['SRV', 5]] }).subarray(0, 11),
      packet({ id: id ^ 1, records: [['SRV', 7]] }),
      good(id),
      packet({ id, records: [['SRV', 9]] }),
    ])
    assert.equal(ttlMs, 30_000)
  })

  it('is not known when nobody answers in time, or nobody can be asked', async () => {
    assert.equal((await ask(NAME, () => [], 20)).ttlMs, null)
    assert.equal((await ask(NAME, (id) => [packet({ id }).subarray(0, 12)])).ttlMs, null)
    for (const server of [
      '',
      'a',
      '127.0.0.1',
      '127.0.0.1:x',
      'x 127.0.0.1:1 y',
      '::1:53',
      '[::1]',
      '127.0.0.1:53x',
    ])
      assert.equal(await srvTtlMs(NAME, server, NEVER_MS), null, server)
    const closed = createSocket('udp4')
    closed.bind(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address()
    closed.close()
    assert.equal(await srvTtlMs(NAME, `127.0.0.1:${port}`, NEVER_MS), null, 'it is refused')
  })

  it('is asked for of names that DNS can have alone', async () => {
    const label = 'a'.repeat(63)
    const longest = `${label}.${label}.${label}.${'a'.repeat(61)}`
    for (const [name, asked] of [
      [longest, 1],
      [`${longest}b`, 0],
      [`${label}a.test`, 0],
      ['a..test', 0],
      ['.test', 0],
      ['', 0],
    ] as const) {
      const { questions, ttlMs } = await ask(name, (id) => [good(id)])
      assert.equal(questions.length, asked, name)
      assert.equal(ttlMs, asked === 1 ? 30_000 : null)
    }
  })
})
