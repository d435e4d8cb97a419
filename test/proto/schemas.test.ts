import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { loadProto, type ProtoFile } from '@clawmesh/proto/wire'
import { loadSync } from '@grpc/proto-loader'

const PROTO = fileURLToPath(new URL('../../proto', import.meta.url))
const REFLECTION = fileURLToPath(new URL('../proto', import.meta.resolve('@grpc/reflection')))

/** What servers, clients and reflection read of a definition. */
function said(definition: ReturnType<typeof loadProto>): unknown {
  return Object.entries(definition).map(([name, entry]) =>
    'format' in entry
      ? { name, type: entry.type }
      : {
          name,
          methods: Object.values(entry).map(({ path, requestStream, responseStream, ...rest }) => ({
            ...{ path, requestStream, responseStream, options: rest.options },
            types: [rest.requestType, rest.responseType].map(({ type }) => type),
          })),
        },
  )
}

const HOMES: readonly (readonly [ProtoFile, string])[] = [
  ['clawmesh/delegation/v1/delegation.proto', PROTO],
  ['clawmesh/mesh/v1/mesh.proto', PROTO],
  ['grpc/health/v1/health.proto', PROTO],
  ['grpc/reflection/v1/reflection.proto', REFLECTION],
  ['google/rpc/status.proto', PROTO],
  ['google/rpc/error_details.proto', PROTO],
]

describe('the schemas in the code', () => {
  for (const [file, home] of HOMES)
    it(`say what ${file} says`, () => {
      const options = { keepCase: true, enums: String, longs: Number, defaults: true, oneofs: true }
      const fromFile = loadSync(file, { ...options, includeDirs: [home] })
      const embedded = loadProto(file)
      assert.deepEqual(said(embedded), said(fromFile))
      const bytes = (definition: typeof embedded) =>
        Object.values(definition).flatMap(({ fileDescriptorProtos: list }) =>
          Array.isArray(list) ? list.map((each) => Buffer.from(each).toString('hex')) : [],
        )
      assert.deepEqual(bytes(embedded), bytes(fromFile))
    })
})
