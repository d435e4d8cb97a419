import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { MeshError } from '@clawmesh/proto'
import { messageOf } from '@clawmesh/proto/wire'
import { loadSync } from '@grpc/proto-loader'
import { filterAnswer } from '../../../../mesh-gateway/src/delegation/reflection/filter-answer.ts'
import { StepBudget } from '../../../../mesh-gateway/src/policy/compile/step-budget.ts'
import { type Callable, callableOf } from '../../../../mesh-gateway/src/policy/decide/callable.ts'
import { policyOf } from '../../policy/policies.ts'

interface Answer {
  valid_host?: string
  original_request?: { host?: string; file_containing_symbol?: string; list_services?: string }
  file_descriptor_response?: { file_descriptor_proto: Uint8Array[] }
  list_services_response?: { service: { name: string }[] }
  error_response?: { error_code: number; error_message: string }
}
interface FileProto {
  name: string
  package: string
  messageType?: { name: string }[]
  service: { name: string; method: { name: string; inputType: string; outputType: string }[] }[]
  sourceCodeInfo?: { location: { path: number[]; leadingComments: string }[] } | null
}

const require = import.meta.resolve('@grpc/reflection')
const proto = fileURLToPath(new URL('../proto/grpc/reflection/v1/reflection.proto', require))
const answers = messageOf<Answer>(
  loadSync(proto, { keepCase: true, enums: String, oneofs: false }),
  'grpc.reflection.v1.ServerReflectionResponse',
)
const files = messageOf<FileProto>(
  loadSync('google/protobuf/descriptor.proto', { enums: String, arrays: true }),
  'google.protobuf.FileDescriptorProto',
)

const method = (name: string) => ({ name, inputType: '.a.In', outputType: '.a.Out' })
const file: FileProto = {
  name: 'a.proto',
  package: 'a',
  messageType: [{ name: 'In' }, { name: 'Out' }],
  service: [
    { name: 'Secret', method: [method('Steal')] },
    { name: 'B', method: [method('Get'), method('Drop')] },
  ],
  sourceCodeInfo: { location: [{ path: [6, 0], leadingComments: 'the secret service' }] },
}
/** a.B/Get and all of a.Open. */
const callable: Callable = {
  service: (name) => name === 'a.B' || name === 'a.Open',
  method: (service, name) => service === 'a.Open' || (service === 'a.B' && name === 'Get'),
}
const answering = (symbol: string | null, ...protos: FileProto[]): Buffer =>
  answers.serialize({
    valid_host: 'h',
    ...(symbol === null ? {} : { original_request: { file_containing_symbol: symbol } }),
    file_descriptor_response: { file_descriptor_proto: protos.map((one) => files.serialize(one)) },
  })
const read = (bytes: Buffer) => answers.deserialize(bytes)
const filesOf = (bytes: Buffer) =>
  (read(bytes).file_descriptor_response?.file_descriptor_proto ?? []).map((one) =>
    files.deserialize(Buffer.from(one)),
  )

describe('an answer of reflection, filtered', () => {
  it('lists the services that may be called', () => {
    const service = ['a.B', 'a.Secret', 'x.Y', 'a.Open'].map((name) => ({ name }))
    const before = answers.serialize({ list_services_response: { service } })
    const after = read(filterAnswer(before, callable))
    assert.deepEqual(
      after.list_services_response?.service.map(({ name }) => name),
      ['a.B', 'a.Open'],
    )
  })

  it('describes services without those that may not be called, and methods alike', () => {
    const [after] = filesOf(filterAnswer(answering('a.B', file), callable))
    assert.deepEqual(
      after?.service.map(({ name, method: methods }) => [name, methods.map((one) => one.name)]),
      [['B', ['Get']]],
    )
    assert.deepEqual(
      after?.messageType?.map(({ name }) => name),
      ['In', 'Out'],
    )
  })

  it('leaves out comments once something is left out: they name places by number', () => {
    const bytes = filterAnswer(answering('a.B', file), callable)
    assert.ok(!bytes.includes('the secret service'))
    const open = { ...file, service: [{ name: 'Open', method: [method('Any')] }] }
    assert.ok(filterAnswer(answering('a.Open', open), callable).includes('the secret service'))
  })

  for (const symbol of ['a.Secret', 'a.Secret.Steal', '.a.Secret', 'a.B.Drop'])
    it(`does not find ${symbol}`, () => {
      const after = read(filterAnswer(answering(symbol, file), callable))
      assert.equal(after.error_response?.error_code, 5)
      assert.match(after.error_response?.error_message ?? '', /^Symbol not found: a\./)
      assert.equal(after.valid_host, 'h')
      assert.equal(after.original_request?.file_containing_symbol, symbol)
      assert.equal(after.file_descriptor_response?.file_descriptor_proto.length ?? 0, 0)
    })

  it('finds what may be called, and types', () => {
    for (const symbol of ['a.B', 'a.B.Get', 'a.In', 'a.SecretOther'])
      assert.equal(filesOf(filterAnswer(answering(symbol, file), callable)).length, 1, symbol)
  })

  it('filters every file of an answer, one without a package, and an answer that repeats no question', () => {
    const bare = { ...file, name: 'b.proto', package: '' }
    const after = filesOf(filterAnswer(answering(null, file, bare), callable))
    assert.deepEqual(
      after.map(({ service }) => service.map(({ name }) => name)),
      [['B'], []],
    )
  })

  it('changes no byte where nothing is left out, fields it does not know included', () => {
    const open = { ...file, service: [{ name: 'Open', method: [method('Any')] }] }
    const unknown = Buffer.from([0xfa, 0x7f, 3, 1, 2, 3, 0x80, 0x7d, 0x96, 0x01])
    const before = Buffer.concat([answering('a.Open', open), unknown])
    assert.equal(filterAnswer(before, callable), before)
    const partly = filterAnswer(Buffer.concat([answering('a.B', file), unknown]), callable)
    assert.ok(partly.subarray(-unknown.length).equals(unknown))
    const error = answers.serialize({ error_response: { error_code: 5, error_message: 'no' } })
    assert.equal(filterAnswer(error, callable), error)
  })

  it('sees through answers that say a thing twice', () => {
    const list = (name: string) =>
      answers.serialize({ list_services_response: { service: [{ name }] } })
    const twice = Buffer.concat([list('a.Secret'), list('a.B'), list('x.Y')])
    const bytes = filterAnswer(twice, callable)
    assert.ok(!bytes.includes('Secret') && !bytes.includes('x.Y') && bytes.includes('a.B'))
    const name = Buffer.from([0x0a, 3, ...Buffer.from('a.B'), 0x0a, 3, ...Buffer.from('x.Y')])
    const renamed = Buffer.from([0x32, name.length + 2, 0x0a, name.length, ...name])
    assert.ok(!filterAnswer(renamed, callable).includes('x.Y'), 'the last one counts')
  })

  it('refuses broken answers, and answers made to be slow', () => {
    const broken = [
      [0x0a],
      [0x0a, 5, 1],
      [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
      [0x0b],
      [0x00, 0x00],
      [0x09, 1, 2],
      [0x32, 2, 0x0a, 9],
      [0x22, 4, 0x0a, 2, 0x32, 5],
      [0x08, 0x80],
    ]
    for (const bytes of broken)
      assert.throws(
        () => filterAnswer(Buffer.from(bytes), callable),
        (error) => error instanceof MeshError && error.code === 'MESH_PEER_PROTOCOL',
        String(bytes),
      )
    const slow = Buffer.alloc(4 * 1024 * 1024, Buffer.from([0x08, 0x01]))
    assert.throws(() => filterAnswer(slow, callable), /too many fields/)
  })
})

describe('the cost of filtering an answer of reflection', () => {
  const methods = Array.from({ length: 2_000 }, (_, n) => `a.B/M${n}`)
  const rule = { from: 'planner', to: 'researcher', methods }
  const judged = () =>
    callableOf(
      {
        caller: { tenant: 'acme', agent: 'planner' },
        callee: { tenant: 'acme', agent: 'researcher' },
        withinChain: false,
      },
      policyOf({ acme: { delegation: { allow: [rule], deny: [rule] } } }),
    )

  it('does not grow with how often one service is named, whatever rules name of it', () => {
    const service = Array.from({ length: 9_000 }, () => ({ name: 'a.B' }))
    const budget = new StepBudget()
    const shown = filterAnswer(
      answers.serialize({ list_services_response: { service } }),
      judged(),
      budget,
    )
    assert.deepEqual(read(shown).list_services_response?.service ?? [], [])
    assert.equal(budget.spent, 2_001)
  })

  it('is nothing for names that are longer than any rule could name', () => {
    const named = Array.from({ length: 3_000 }, (_, n) => method(`M${n}`))
    const long = { ...file, package: 'p'.repeat(34_000), service: [{ name: 'B', method: named }] }
    const budget = new StepBudget()
    const [kept] = filesOf(filterAnswer(answering(null, long), judged(), budget))
    assert.deepEqual(kept?.service ?? [], [])
    assert.equal(budget.spent, 0)
  })

  it('ends the answer when it asks policy too much', () => {
    const many = Array.from({ length: 5_000 }, (_, n) => ({ name: `s.S${n}` }))
    const whole = answers.serialize({ list_services_response: { service: many } })
    assert.throws(() => filterAnswer(whole, judged(), new StepBudget(1_000)), {
      code: 'MESH_POLICY_TOO_COSTLY',
    })
  })
})
