/**
 * Server reflection v1 and v1alpha. The descriptors that proto-loader makes name neither the files they depend on nor
 * types in full, and get map entries and reserved ranges wrong, so that grpcurl cannot link them: put right before @grpc/reflection gets them.
 */

import { loadProto, messageOf } from '@clawmesh/proto'
import type { Server } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { ReflectionService } from '@grpc/reflection'

type Definition = ReturnType<typeof loadProto>

// camelCase: this one file comes with protobufjs, and not from disk
interface FileProto {
  name: string
  package: string
  dependency: string[]
  messageType: MessageProto[]
  enumType: { name: string }[]
  service: { name: string; method: { inputType: string; outputType: string }[] }[]
}

interface MessageProto {
  name: string
  field: { name: string; typeName?: string }[]
  nestedType: MessageProto[]
  enumType: { name: string }[]
  options?: { mapEntry?: boolean } | null
  reservedRange: { end: number }[]
}

/** @param services full names that `list` shows */
export function addReflection(
  server: Pick<Server, 'addService'>,
  definition: Definition,
  services: readonly string[],
): void {
  // with these, tools show the details of errors in words
  const details = loadProto('google/rpc/error_details.proto', 'google/rpc/status.proto')
  new ReflectionService(linkable({ ...details, ...definition }), {
    services: [...services],
  }).addToServer(server)
}

/** The same definition with descriptors that link. */
function linkable(definition: Definition): Definition {
  const codec = messageOf<FileProto>(
    loadSync('google/protobuf/descriptor.proto', { enums: String, arrays: true }),
    'google.protobuf.FileDescriptorProto',
  )
  const files = new Map<string, FileProto>()
  // all entries of one load share one list
  const lists = new Set(Object.values(definition).map((entry) => entry.fileDescriptorProtos))
  for (const list of lists)
    for (const bytes of Array.isArray(list) ? list : []) {
      const file = codec.deserialize(bytes)
      const known = files.get(file.name)
      if (known === undefined) files.set(file.name, file)
      else merge(known, file)
    }
  const homes = new Map<string, string>()
  for (const file of files.values()) {
    for (const message of file.messageType) mend(message)
    for (const { name } of file.enumType) homes.set(`${file.package}.${name}`, file.name)
    for (const message of file.messageType) index(message, file.package, file.name, homes)
  }
  for (const file of files.values()) link(file, homes)
  const all = [...files.values()].map((file) => codec.serialize(file))
  // descriptors are all that reflection reads, of whichever entry
  const [[name, entry] = []] = Object.entries(definition)
  if (name === undefined || entry === undefined) return definition
  return { [name]: { ...entry, fileDescriptorProtos: all } as typeof entry }
}

/** Files are made up of a package each, and hold only what the definition at hand uses of it. */
function merge(known: FileProto, more: FileProto): void {
  const missing = <T extends { name: string }>(here: readonly T[], there: readonly T[]) =>
    there.filter(({ name }) => here.every((each) => each.name !== name))
  known.messageType.push(...missing(known.messageType, more.messageType))
  known.enumType.push(...missing(known.enumType, more.enumType))
  known.service.push(...missing(known.service, more.service))
}

/** The entry message of a map `foo_bar` is called FooBarEntry, and reserved ranges exclude their end; parsers insist. */
function mend(message: MessageProto): void {
  for (const range of message.reservedRange) range.end += 1
  for (const nested of message.nestedType) {
    mend(nested)
    const field = message.field.find(({ typeName }) => typeName === nested.name)
    if (nested.options?.mapEntry !== true || field === undefined) continue
    const words = field.name.split('_').map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    nested.name = `${words.join('')}Entry`
    field.typeName = nested.name
  }
}

function index(message: MessageProto, scope: string, file: string, homes: Map<string, string>) {
  const full = `${scope}.${message.name}`
  homes.set(full, file)
  for (const { name } of message.enumType) homes.set(`${full}.${name}`, file)
  for (const nested of message.nestedType) index(nested, full, file, homes)
}

function link(file: FileProto, homes: ReadonlyMap<string, string>): void {
  const needed = new Set(file.dependency)
  const resolve = (name: string, scope: string): string => {
    if (name.startsWith('.')) return use(name.slice(1))
    // from the innermost scope outwards, as protobuf resolves names
    for (let at = scope; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.'))))
      if (homes.has(`${at}.${name}`)) return use(`${at}.${name}`)
    return use(name)
  }
  const use = (full: string): string => {
    const home = homes.get(full)
    if (home !== undefined && home !== file.name) needed.add(home)
    return `.${full}`
  }
  const walk = (message: MessageProto, scope: string) => {
    const full = `${scope}.${message.name}`
    for (const field of message.field)
      if (field.typeName) field.typeName = resolve(field.typeName, full)
    for (const nested of message.nestedType) walk(nested, full)
  }
  for (const message of file.messageType) walk(message, file.package)
  for (const { method } of file.service)
    for (const each of method) {
      each.inputType = resolve(each.inputType, file.package)
      each.outputType = resolve(each.outputType, file.package)
    }
  file.dependency = [...needed]
}
