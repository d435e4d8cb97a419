/**
 * A small gRPC client of Node with the command line of grpcurl, for machines that lack grpcurl.
 * It knows what the tests use: list, describe and calls, by reflection (v1) or by .proto files of this repository.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { METADATA_STATUS_DETAILS } from '@clawmesh/proto'
import { decodeStatusDetails } from '@clawmesh/proto/wire'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import {
  loadSync,
  type MethodDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader'
import { openReflection, PROTO_OPTIONS } from './grpc-reflection.ts'

const PROTO_DIR = fileURLToPath(new URL('../../proto', import.meta.url))
const WITH_VALUE = ['cacert', 'cert', 'key', 'max-time', 'authority', 'H', 'd', 'import-path']

interface Command {
  readonly flags: ReadonlyMap<string, string>
  readonly protos: readonly string[]
  readonly address: string
  /** `list`, `describe` or SERVICE/METHOD. */
  readonly verb: string
  readonly symbol: string
}

/** The exit code, 1 for whatever went wrong, and what it prints. @throws TypeError of a flag that it does not know */
export async function runGrpcClient(
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = readCommand(args)
  const client = await connect(command)
  const deadline = Date.now() + Number(command.flags.get('max-time') ?? 10) * 1_000
  try {
    return { code: 0, stdout: `${await answer(command, client, deadline)}\n`, stderr: '' }
  } catch (error) {
    return { code: 1, stdout: '', stderr: `${describeFault(error)}\n` }
  } finally {
    client.close()
  }
}

function readCommand(args: readonly string[]): Command {
  const flags = new Map<string, string>()
  const protos: string[] = []
  const words: string[] = []
  const left = args.values()
  for (const word of left) {
    if (!word.startsWith('-')) words.push(word)
    else if (word === '-proto') protos.push(String(left.next().value))
    else if (WITH_VALUE.includes(word.slice(1))) flags.set(word.slice(1), String(left.next().value))
    else throw new TypeError(`a flag that this client does not know: ${word}`)
  }
  const [address = '', verb = '', symbol = ''] = words
  return { flags, protos, address, verb, symbol }
}

async function connect({ flags, address }: Command): Promise<Client> {
  const read = async (flag: string) => {
    const file = flags.get(flag)
    return file === undefined ? null : await readFile(file)
  }
  const [roots, key, cert] = await Promise.all([read('cacert'), read('key'), read('cert')])
  const authority = flags.get('authority')
  const named =
    authority === undefined
      ? {}
      : { 'grpc.ssl_target_name_override': authority, 'grpc.default_authority': authority }
  const own = { 'grpc.use_local_subchannel_pool': 1 }
  return new Client(address, credentials.createSsl(roots, key, cert), { ...named, ...own })
}

async function answer(command: Command, client: Client, deadline: number): Promise<string> {
  const { protos, verb, symbol, flags } = command
  if (protos.length > 0) {
    const known = loadSync([...protos], { ...PROTO_OPTIONS, includeDirs: [PROTO_DIR] })
    return await invoke(client, methodOf(known, verb), flags, deadline)
  }
  const reflection = openReflection(client, metadataOf(flags), deadline)
  try {
    if (verb === 'list') return (await reflection.services()).toSorted().join('\n')
    if (verb === 'describe') return await reflection.describe(symbol)
    const known = await reflection.definitionOf(verb.split('/')[0] ?? '')
    return await invoke(client, methodOf(known, verb), flags, deadline)
  } finally {
    reflection.close()
  }
}

function methodOf(
  known: PackageDefinition,
  path: string,
): MethodDefinition<object, object, object, object> {
  const [name = '', method = ''] = path.split('/')
  const found = known[name]
  const service: ServiceDefinition =
    found === undefined || 'format' in found ? {} : (found satisfies ServiceDefinition)
  const definition = service[method]
  if (definition === undefined)
    throw new Error(`service "${name}" does not include a method named "${method}"`)
  return definition
}

function metadataOf(flags: ReadonlyMap<string, string>): Metadata {
  const metadata = new Metadata()
  const [, name, value] = /^([^:]+): *(.*)$/.exec(flags.get('H') ?? '') ?? []
  if (name !== undefined && value !== undefined) metadata.set(name, value)
  return metadata
}

/** One answer or several of them, in JSON. */
async function invoke(
  client: Client,
  method: MethodDefinition<object, object, object, object>,
  flags: ReadonlyMap<string, string>,
  deadline: number,
): Promise<string> {
  const input: unknown = JSON.parse(flags.get('d') ?? '{}')
  if (typeof input !== 'object' || input === null) throw new TypeError('-d is an object in JSON')
  const call = client.makeServerStreamRequest(
    ...([method.path, method.requestSerialize, method.responseDeserialize] as const),
    ...([input, metadataOf(flags), { deadline }] as const),
  )
  const answers: string[] = []
  for await (const one of call) answers.push(JSON.stringify(one, withoutDefaults, 2))
  return answers.join('\n')
}

/** JSON of Protobuf leaves out what has the value that it has by default. */
function withoutDefaults(_name: string, value: unknown): unknown {
  const isDefault = value === '' || value === 0 || value === false
  return isDefault || (Array.isArray(value) && value.length === 0) ? undefined : value
}

function describeFault(error: unknown): string {
  if (!isServiceError(error)) return `Error: ${error instanceof Error ? error.message : error}`
  // as Go spells it: PermissionDenied
  const name = (status[error.code] ?? '')
    .toLowerCase()
    .replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
  const [bytes] = error.metadata.get(METADATA_STATUS_DETAILS)
  const details = Buffer.isBuffer(bytes) ? decodeStatusDetails(bytes) : null
  const reason = details === null ? '' : `\n  Details:\n  1)\t${JSON.stringify(details)}`
  return `ERROR:\n  Code: ${name}\n  Message: ${error.details}${reason}`
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'details' in error && 'metadata' in error
}
