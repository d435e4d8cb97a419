/** An agent without the SDK: a gRPC server with an agent's certificate, that describes itself and answers as a test likes. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DELEGATION_SERVICE, toTimestamp } from '@clawmesh/proto'
import { loadProto, serviceOf } from '@clawmesh/proto/wire'
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js'

export interface LyingPeerOptions {
  /** The answer to Describe; null: it has no such method, as older agents. */
  readonly describe: (() => object) | null
  /** The text of each result. */
  readonly result: () => string
}

/** @param dir identity directory of an agent */
export async function startLyingPeer(
  dir: string,
  { describe, result }: LyingPeerOptions,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const [key, cert, ca] = await Promise.all(
    ['tls.key', 'tls.crt', 'ca.crt'].map((name) => readFile(join(dir, name))),
  )
  if (key === undefined || cert === undefined || ca === undefined) throw new Error(dir)
  const { Describe, ...older } = serviceOf(
    loadProto('clawmesh/delegation/v1/delegation.proto'),
    DELEGATION_SERVICE,
  )
  const server = new Server({ 'grpc.enable_channelz': 0 })
  server.addService(describe === null || Describe === undefined ? older : { ...older, Describe }, {
    Delegate(call: ServerWritableStream<{ delegation_id: string; skill: string }, object>) {
      const { delegation_id, skill } = call.request
      const head = { delegation_id, time: toTimestamp(new Date()) }
      call.write({ ...head, seq: 1, accepted: { skill, retention_ms: 0 } })
      call.write({ ...head, seq: 2, result: { output: [{ text: result() }] } })
      call.end()
    },
    Describe(_call: ServerUnaryCall<object, object>, answer: sendUnaryData<object>) {
      answer(null, describe?.() ?? {})
    },
  })
  const credentials = ServerCredentials.createSsl(
    ca,
    [{ private_key: key, cert_chain: cert }],
    true,
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  return { port, close: async () => server.forceShutdown() }
}
