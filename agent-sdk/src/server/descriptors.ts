/**
 * The descriptors that reflection shows. Those that proto-loader makes name neither the files they depend on nor types in
 * full, and get map entries and reserved ranges wrong, so that grpcurl cannot link them: here they are put right.
 */

import { type loadProto, messageOf } from '@clawmesh/proto/wire'
import { loadSync } from '@grpc/proto-loader'

export type Definition = ReturnType<typeof loadProto>

/** A file as `FileDescriptorProto` says it, of which this room reads no more than this. In camelCase, as protobufjs has it. */
export interface FileProto {
  name: string
  package: string
  /** Names of the files that it needs. */
  dependency: string[]
  messageType: MessageProto[]
  enumType: EnumProto[]
  service: { name: string; method: { name: string; inputType: string; outputType: string }[] }[]
  extension: ExtensionProto[]
}

export interface MessageProto {
  name: string
  field: { name: string; typeName?: string }[]
  oneofDecl: { name: string }[]
  nestedType: MessageProto[]
  enumType: EnumProto[]
  extension: ExtensionProto[]
  options?: { mapEntry?: boolean } | null
  reservedRange: { end: number }[]
}

export interface EnumProto {
  name: string
  value: { name: string }[]
}

export interface ExtensionProto {
  name: string
  number: number
  extendee: string
}

export interface DescribedFile {
  readonly file: FileProto
  /** FileDescriptorProto, encoded. */
  readonly bytes: Buffer
}

/** The files of a definition, linked, by their names. */
export function describedFiles(definition: Definition): ReadonlyMap<string, DescribedFile> {
  // comes with protobufjs, and not from disk
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
  return new Map([...files].map(([name, file]) => [name, { file, bytes: codec.serialize(file) }]))
}

/** Files are made up of a package each, and hold only what the definition at hand uses of it. */
function merge(known: FileProto, more: FileProto): void {
  const missing = <T extends { name: string }>(here: readonly T[], there: readonly T[]) =>
    there.filter(({ name }) => here.every((each) => each.name !== name))
  known.messageType.push(...missing(known.messageType, more.messageType))
  known.enumType.push(...missing(known.enumType, more.enumType))
  known.service.push(...missing(known.service, more.service))
  known.extension.push(...missing(known.extension, more.extension))
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
