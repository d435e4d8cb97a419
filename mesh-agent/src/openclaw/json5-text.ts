/** Changes single values in a JSON5 text. Everything else in it stays as it is: comments, quotes, order, spacing. */
import { isDeepStrictEqual } from 'node:util'
import {
  type ArrayNode,
  evaluate,
  type MemberNode,
  type ObjectNode,
  parse,
} from '@humanwhocodes/momoa'

export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

const INDENT = '  '

/** @throws Error that names line and column, for what is no JSON5 or has no object at its top */
export function readJson5(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = evaluate(topOf(text))
  return Object.fromEntries(Object.entries(Object(value)))
}

/** The value at a path; undefined when there is none. */
export function valueAt(of: unknown, path: readonly string[]): unknown {
  let at = of
  for (const key of path)
    at =
      typeof at === 'object' && at !== null && Object.hasOwn(at, key)
        ? Reflect.get(at, key)
        : undefined
  return at
}

/** The text with the value at the path, in objects that are made where there are none. @throws Error as `readJson5` */
export function writeAt(text: string, path: readonly string[], value: Json): string {
  let at = topOf(text)
  for (const [depth, key] of path.entries()) {
    const rest = path.slice(depth + 1)
    const whole = rest.reduceRight<Json>((inner, name) => ({ [name]: inner }), value)
    const member = memberOf(at, key)
    if (member === undefined) return insertMember(text, at, key, whole)
    if (rest.length > 0 && member.value.type === 'Object') {
      at = member.value
      continue
    }
    const { start, end } = member.value.loc
    if (rest.length === 0 && isDeepStrictEqual(evaluate(member.value), value)) return text
    const printed = print(whole, indentAt(text, member.loc.start.offset))
    return text.slice(0, start.offset) + printed + text.slice(end.offset)
  }
  return text
}

/** The text with one more element in the list at the path; unchanged when there is no list. @throws Error as `readJson5` */
export function appendAt(text: string, path: readonly string[], value: Json): string {
  let at: MemberNode['value'] = topOf(text)
  for (const key of path) {
    const member: MemberNode | undefined = at.type === 'Object' ? memberOf(at, key) : undefined
    if (member === undefined) return text
    at = member.value
  }
  if (at.type !== 'Array') return text
  return insert(text, at, at.elements, (indent) => print(value, indent))
}

function topOf(text: string): ObjectNode {
  const { body } = parse(text, { mode: 'json5' })
  if (body.type !== 'Object') throw new Error('there is no object at its top')
  return body
}

/** Of several with one name the last counts, as for every reader of JSON5. */
function memberOf(object: ObjectNode, key: string): MemberNode | undefined {
  return object.members.findLast(({ name }) =>
    name.type === 'Identifier' ? name.name === key : name.value === key,
  )
}

function insertMember(text: string, object: ObjectNode, key: string, value: Json): string {
  return insert(
    text,
    object,
    object.members,
    (indent) => `${JSON.stringify(key)}: ${print(value, indent)}`,
  )
}

type Place = MemberNode['loc']

/** After the last of those in it, and after the comments that follow. */
function insert(
  text: string,
  { loc }: ObjectNode | ArrayNode,
  those: readonly { readonly loc: Place }[],
  write: (indent: string) => string,
): string {
  const open = loc.start.offset + 1
  const close = loc.end.offset - 1
  const outer = indentAt(text, loc.start.offset)
  const last = those.at(-1)
  if (last === undefined) {
    const comments = text.slice(open, close).trimEnd()
    const inner = outer + INDENT
    return `${text.slice(0, open)}${comments}\n${inner}${write(inner)}\n${outer}${text.slice(close)}`
  }
  const from = last.loc.end.offset
  const tail = text.slice(from, close)
  const comma = hasComma(tail)
  const before = `${text.slice(0, from)}${comma ? '' : ','}${tail.trimEnd()}`
  if (!text.slice(open, close).includes('\n')) {
    const blank = /\s$/.test(tail) ? ' ' : ''
    return `${before} ${write(outer)}${blank}${text.slice(close)}`
  }
  const inner = indentAt(text, last.loc.start.offset)
  return `${before}\n${inner}${write(inner)}${comma ? ',' : ''}\n${outer}${text.slice(close)}`
}

/** Between a value and the end of what holds it there are blanks, comments, and perhaps a comma. */
function hasComma(tail: string): boolean {
  return tail.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n\r\u2028\u2029]*/g, '').includes(',')
}

/** The blanks at the beginning of a line. */
function indentAt(text: string, offset: number): string {
  const line = text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset)
  return /^[ \t]*/.exec(line)?.[0] ?? ''
}

function print(value: Json, indent: string): string {
  return JSON.stringify(value, null, INDENT).replaceAll('\n', `\n${indent}`)
}
