/**
 * Server reflection v1 and v1alpha (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md). Not by
 * @grpc/reflection, which reads its own .proto file from the disk when a server is made.
 */
import { loadProto, serviceOf } from '@clawmesh/proto/wire'
import { type Server, type ServerDuplexStream, status } from '@grpc/grpc-js'
import {
  type Definition,
  type DescribedFile,
  describedFiles,
  type ExtensionProto,
  type MessageProto,
} from './descriptors.ts'

interface ReflectionRequest {
  host: string
  message_request?: string
  file_by_filename?: string
  file_containing_symbol?: string
  file_containing_extension?: { containing_type: string; extension_number: number }
  all_extension_numbers_of_type?: string
}

type Answer =
  | { list_services_response: { service: { name: string }[] } }
  | { file_descriptor_response: { file_descriptor_proto: Buffer[] } }
  | {
      all_extension_numbers_response: {
        base_type_name: string
        extension_number: readonly number[]
      }
    }
  | { error_response: { error_code: number; error_message: string } }

type ReflectionResponse = Answer & { valid_host: string; original_request: ReflectionRequest }

export interface ReflectionOptions {
  /** Asked once, with the first request or by `prepare`. */
  readonly definition: () => Definition
  /** Full names that `list` shows. */
  readonly services: readonly string[]
}

export interface Reflection {
  /** Makes the descriptors now: the first request makes them otherwise. @throws Error when a definition is broken */
  prepare(): void
}

/** Few servers are ever asked, and the descriptors cost a tenth of the start of a process. */
export function addReflection(
  server: Pick<Server, 'addService'>,
  { definition, services }: ReflectionOptions,
): Reflection {
  let made: Reflected | null = null
  const reflected = (): Reflected => {
    // with these, tools show the details of errors in words
    const details = loadProto('google/rpc/error_details.proto', 'google/rpc/status.proto')
    made = new Reflected(describedFiles({ ...details, ...definition() }), services)
    return made
  }
  const own = loadProto('grpc/reflection/v1/reflection.proto')
  const { ServerReflectionInfo: method } = serviceOf(own, 'grpc.reflection.v1.ServerReflection')
  if (method === undefined) throw new TypeError('reflection: the schema has no method')
  const ServerReflectionInfo = (
    stream: ServerDuplexStream<ReflectionRequest, ReflectionResponse>,
  ) => {
    stream.on('data', (request: ReflectionRequest) =>
      stream.write((made ?? reflected()).answer(request)),
    )
    stream.on('end', () => stream.end())
  }
  // the two versions have the same messages
  for (const version of ['v1', 'v1alpha']) {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`
    server.addService({ ServerReflectionInfo: { ...method, path } }, { ServerReflectionInfo })
  }
  return { prepare: () => void reflected() }
}

/** What there is to show, by its names. */
class Reflected {
  readonly #files: ReadonlyMap<string, DescribedFile>
  readonly #services: readonly string[]
  readonly #symbols = new Map<string, DescribedFile>()
  /** By the message that is extended, then by number. */
  readonly #extensions = new Map<string, Map<number, DescribedFile>>()

  constructor(files: ReadonlyMap<string, DescribedFile>, services: readonly string[]) {
    this.#files = files
    for (const described of files.values()) this.#index(described)
    this.#services = [...new Set(services)].filter((name) => this.#symbols.has(name))
  }

  answer(request: ReflectionRequest): ReflectionResponse {
    return { valid_host: request.host, original_request: request, ...this.#find(request) }
  }

  #find(request: ReflectionRequest): Answer {
    const asked = request.message_request ?? ''
    if (asked === 'list_services')
      return { list_services_response: { service: this.#services.map((name) => ({ name })) } }
    if (asked === 'file_by_filename') {
      const name = request.file_by_filename ?? ''
      return this.#withImports(this.#files.get(name), `Proto file not found: ${name}`)
    }
    if (asked === 'file_containing_symbol') {
      const symbol = request.file_containing_symbol ?? ''
      return this.#withImports(this.#symbols.get(symbol), `Symbol not found: ${symbol}`)
    }
    if (asked === 'file_containing_extension') {
      const { containing_type = '', extension_number = 0 } = request.file_containing_extension ?? {}
      const found = this.#extensions.get(containing_type)?.get(extension_number)
      return this.#withImports(found, `Extension not found for symbol ${containing_type}`)
    }
    if (asked !== 'all_extension_numbers_of_type')
      return failed(status.UNIMPLEMENTED, 'reflection has no such request')
    const base_type_name = request.all_extension_numbers_of_type ?? ''
    const known = this.#extensions.get(base_type_name)
    if (known === undefined)
      return failed(status.NOT_FOUND, `Extensions not found for symbol ${base_type_name}`)
    const extension_number = [...known.keys()]
    return { all_extension_numbers_response: { base_type_name, extension_number } }
  }

  #withImports(found: DescribedFile | undefined, otherwise: string): Answer {
    if (found === undefined) return failed(status.NOT_FOUND, otherwise)
    const needed = new Set([found])
    // a set that grows while it is walked is walked to its end
    for (const { file } of needed)
      for (const name of file.dependency) {
        const other = this.#files.get(name)
        if (other !== undefined) needed.add(other)
      }
    const file_descriptor_proto = [...needed].map(({ bytes }) => bytes)
    return { file_descriptor_response: { file_descriptor_proto } }
  }

  #index(described: DescribedFile): void {
    const { package: scope, service, messageType, enumType, extension } = described.file
    const add = (name: string) => this.#symbols.set(name, described)
    const addEnums = (enums: typeof enumType, within: string) => {
      for (const { name, value } of enums) {
        add(`${within}.${name}`)
        for (const each of value) add(`${within}.${name}.${each.name}`)
      }
    }
    const addExtensions = (extensions: readonly ExtensionProto[], within: string) => {
      for (const { name, number, extendee } of extensions) {
        add(`${within}.${name}`)
        const of = extendee.replace(/^\./, '')
        const known = this.#extensions.get(of) ?? new Map<number, DescribedFile>()
        this.#extensions.set(of, known.set(number, described))
      }
    }
    const addMessage = (message: MessageProto, within: string) => {
      const full = `${within}.${message.name}`
      add(full)
      for (const { name } of [...message.field, ...message.oneofDecl]) add(`${full}.${name}`)
      addEnums(message.enumType, full)
      addExtensions(message.extension, full)
      for (const nested of message.nestedType) addMessage(nested, full)
    }
    for (const message of messageType) addMessage(message, scope)
    addEnums(enumType, scope)
    addExtensions(extension, scope)
    for (const { name, method } of service) {
      add(`${scope}.${name}`)
      for (const each of method) add(`${scope}.${name}.${each.name}`)
    }
  }
}

function failed(error_code: number, error_message: string): Answer {
  return { error_response: { error_code, error_message } }
}
