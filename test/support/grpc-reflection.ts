/** What a server says of its services by reflection (grpc.reflection.v1), as the small client of the tests asks for it. */
import { fileURLToPath } from 'node:url'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Type,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  type MethodDescriptorProto,
} from '@bufbuild/protobuf/wkt'
import type { Client, Metadata } from '@grpc/grpc-js'
import {
  loadFileDescriptorSetFromBuffer,
  loadSync,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader'

/** Names as in the .proto file; numbers that are too large, and bytes, as text. */
export const PROTO_OPTIONS = {
  ...{ keepCase: true, enums: String, longs: String, bytes: String, oneofs: false },
}
const REFLECTION = fileURLToPath(
  new URL('../proto/grpc/reflection/v1/reflection.proto', import.meta.resolve('@grpc/reflection')),
)

export interface Reflection {
  services(): Promise<readonly string[]>
  /** A service, a method or a message, as grpcurl prints it. @throws Error when there is none */
  describe(symbol: string): Promise<string>
  /** What is needed to call a service. @throws Error when there is none */
  definitionOf(service: string): Promise<PackageDefinition>
  close(): void
}

interface Answer {
  readonly error_response?: { readonly error_message: string }
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] }
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] }
}

export function openReflection(client: Client, metadata: Metadata, deadline: number): Reflection {
  const definition = loadSync(REFLECTION, { keepCase: true })['grpc.reflection.v1.ServerReflection']
  const service: ServiceDefinition =
    definition === undefined || 'format' in definition ? {} : definition
  const method = service.ServerReflectionInfo
  if (method === undefined) throw new Error('no definition of reflection')
  const call = client.makeBidiStreamRequest(
    ...([method.path, method.requestSerialize, method.responseDeserialize] as const),
    ...([metadata, { deadline }] as const),
  )
  const answers = call[Symbol.asyncIterator]()

  async function ask(question: object): Promise<Answer> {
    call.write(question)
    const { value } = await answers.next()
    const answer: Answer = value
    return answer
  }

  /** The files that hold a symbol, and what they import. */
  async function filesOf(symbol: string): Promise<ReadonlyMap<string, FileDescriptorProto>> {
    const files = new Map<string, FileDescriptorProto>()
    const take = async (question: object) => {
      const { file_descriptor_response: found } = await ask(question)
      if (found === undefined) throw new Error(`Symbol not found: ${symbol}`)
      for (const bytes of found.file_descriptor_proto) {
        const file = fromBinary(FileDescriptorProtoSchema, bytes)
        files.set(file.name, file)
      }
    }
    await take({ file_containing_symbol: symbol })
    for (const { dependency } of files.values())
      for (const name of dependency) if (!files.has(name)) await take({ file_by_filename: name })
    return files
  }

  return {
    async services() {
      const { list_services_response: list } = await ask({ list_services: '' })
      return (list?.service ?? []).map(({ name }) => name)
    },
    async describe(symbol) {
      for (const file of (await filesOf(symbol)).values()) {
        const text = describeIn(file, symbol)
        if (text !== null) return text
      }
      throw new Error(`Symbol not found: ${symbol}`)
    },
    async definitionOf(name) {
      const file = [...(await filesOf(name)).values()]
      const set = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }))
      return loadFileDescriptorSetFromBuffer(Buffer.from(set), PROTO_OPTIONS)
    },
    close: () => call.cancel(),
  }
}

function describeIn(file: FileDescriptorProto, symbol: string): string | null {
  const full = (...names: string[]) => [file.package, ...names].filter(Boolean).join('.')
  for (const { name, method } of file.service) {
    if (symbol === full(name))
      return `service ${name} {\n${method.map((one) => `  ${describeMethod(one)}`).join('\n')}\n}`
    const found = method.find((one) => symbol === full(name, one.name))
    if (found !== undefined) return describeMethod(found)
  }
  const message = file.messageType.find(({ name }) => symbol === full(name))
  return message === undefined ? null : describeMessage(message)
}

function describeMethod(method: MethodDescriptorProto): string {
  const { name, inputType, outputType, clientStreaming, serverStreaming } = method
  const side = (type: string, isStream: boolean) => `( ${isStream ? 'stream ' : ''}${type} )`
  return `rpc ${name} ${side(inputType, clientStreaming)} returns ${side(outputType, serverStreaming)};`
}

function describeMessage({ name, field }: DescriptorProto): string {
  return `message ${name} {\n${field.map((one) => `  ${describeField(one)};`).join('\n')}\n}`
}

function describeField({ name, number, type, typeName }: FieldDescriptorProto): string {
  const kind = typeName === '' ? FieldDescriptorProto_Type[type].toLowerCase() : typeName
  return `${kind} ${name} = ${number}`
}
