/** A policy file is judged once for each content, the operator's first and the slow ones last. */
import assert from 'node:assert/strict'
import type {
  DocumentParser,
  ParsedFile,
} from '../../../../mesh-gateway/src/policy/read/document-parser.ts'
import { createFileJudge } from '../../../../mesh-gateway/src/policy/read/file-judge.ts'
import type { RawFile } from '../../../../mesh-gateway/src/policy/read/read-directory.ts'
import { broken, readPolicyFile } from '../../../../mesh-gateway/src/policy/read/read-file.ts'

const file = (name: string, text = `{"tenant":"${name.replace('.json', '')}"}`): RawFile => ({
  ...{ name, bytes: Buffer.from(text), problem: null, digest: text },
})
const { signal } = new AbortController()

/** A parser that counts, and may be slow or late. */
function parserOf(
  answer: (name: string, bytes: Uint8Array) => Promise<ParsedFile> | ParsedFile = readPolicyFile,
) {
  const asked: string[] = []
  const parser: DocumentParser = {
    async parse(name, bytes) {
      asked.push(name)
      return answer(name, bytes)
    },
    close: async () => {},
  }
  return { judge: createFileJudge(parser), asked }
}

describe('the judge of policy files', () => {
  it('asks once for each content, and remembers the last good one beside the last', async () => {
    const { judge, asked } = parserOf()
    const [good, bad, other] = [file('a.json'), file('a.json', '{'), file('a.json', '{ }')]
    assert.equal(judge.known(good), null)
    const verdict = await judge.judge(good, signal)
    assert.equal(verdict.kind, 'tenant')
    assert.equal(judge.known(good), verdict)
    assert.equal(await judge.judge(good, signal), verdict)
    const refused = await judge.judge(bad, signal)
    assert.ok(refused.kind === 'broken')
    assert.match(refused.faults[0]?.message ?? '', /^expected a key/)
    assert.equal(judge.known(bad)?.kind, 'broken')
    // put back as it was
    assert.equal(judge.known(good), verdict)
    assert.equal(await judge.judge(good, signal), verdict)
    assert.equal(asked.length, 2)
    // one that is broken in another way is forgotten for the next
    await judge.judge(other, signal)
    assert.equal(judge.known(bad), null)
    assert.equal(asked.length, 3)
  })

  it('says why a file could not be read, without asking', async () => {
    const { judge, asked } = parserOf()
    const unread = (problem: string | null): RawFile => ({
      ...{ name: 'a.json', bytes: null, problem, digest: null },
    })
    assert.deepEqual(judge.known(unread('is not a file')), broken('a.json', 'is not a file'))
    assert.deepEqual(await judge.judge(unread(null), signal), broken('a.json', 'cannot be read'))
    assert.deepEqual(asked, [])
  })

  it('judges _global.json first, and last what took long the last time', async () => {
    const { judge } = parserOf(async (name, bytes) => {
      if (name === 'slow.json' || name === '_global.json')
        await new Promise((resolve) => setTimeout(resolve, 30))
      return readPolicyFile(name, bytes)
    })
    const [slow, global, quick] = [
      file('slow.json'),
      file('_global.json', '{}'),
      file('quick.json'),
    ]
    const order = () => judge.inOrder([slow, quick, global]).map(({ name }) => name)
    assert.deepEqual(order(), ['_global.json', 'slow.json', 'quick.json'])
    for (const one of [slow, global, quick]) await judge.judge(one, signal)
    assert.deepEqual(order(), ['_global.json', 'quick.json', 'slow.json'])
  })

  it('tries a file again that the parser did not come to an end with, and not before a minute', async () => {
    const late = { ...broken('a.json', 'was not parsed within 1 s'), late: true } as const
    const { judge, asked } = parserOf((name, bytes) =>
      name === 'a.json' ? late : readPolicyFile(name, bytes),
    )
    for (const name of ['a.json', 'b.json']) await judge.judge(file(name), signal)
    assert.equal(judge.known(file('a.json'))?.kind, 'broken')
    const { now } = performance
    const at = now.call(performance)
    try {
      performance.now = () => at + 59_000
      assert.notEqual(judge.known(file('a.json')), null)
      performance.now = () => at + 70_000
      assert.equal(judge.known(file('a.json')), null)
      assert.notEqual(judge.known(file('b.json')), null)
    } finally {
      performance.now = now
    }
    assert.equal(asked.length, 2)
  })

  it('forgets files that are no more', async () => {
    const { judge } = parserOf()
    const [a, b] = [file('a.json'), file('b.json')]
    for (const one of [a, b]) await judge.judge(one, signal)
    await judge.judge(file('a.json', '{'), signal)
    judge.keepOnly([b])
    assert.equal(judge.known(a), null)
    assert.equal(judge.known(file('a.json', '{')), null)
    assert.notEqual(judge.known(b), null)
  })

  it('ends with the reason when it is to end, and takes a document that does not compile for broken', async () => {
    const ended = new AbortController()
    const { judge } = parserOf(() => {
      ended.abort(new Error('closing'))
      return readPolicyFile('a.json', Buffer.from('{"tenant":"a"}'))
    })
    await assert.rejects(judge.judge(file('a.json'), ended.signal), /closing/)
    assert.equal(judge.known(file('a.json')), null)
    const odd = parserOf(() => ({
      ...{ kind: 'tenant', file: 'a.json' },
      document: { tenant: 'a', egress: { allow: ['no host'] } },
    }))
    const verdict = await odd.judge.judge(file('a.json'), signal)
    assert.ok(verdict.kind === 'broken')
    assert.match(
      verdict.faults[0]?.message ?? '',
      /^could not be compiled: a document that was not validated: holds a character/,
    )
  })
})
