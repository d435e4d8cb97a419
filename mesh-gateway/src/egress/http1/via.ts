/** Via, by which proxies on the way of a message name themselves (RFC 9110, section 7.6.3), and by which a loop is seen. */
import type { Field } from './head.ts'

/** The name of every gateway of ours: one behind another is taken for a loop. */
const PSEUDONYM = 'clawmesh'
const OWN_MEMBER = new RegExp(`^(?:[^\\s/]+/)?[^\\s/]+[\\t ]+${PSEUDONYM}(?::[0-9]*)?$`, 'i')
const COMMENT = /\([^()]*\)/g

/** True of a request that has passed a gateway of ours before. */
export function isLoop(fields: readonly Field[]): boolean {
  for (const { name, value } of fields) if (name === 'via' && namesUs(value)) return true
  return false
}

/** The value of the one field that goes on: those that came, in their order, and then ours. */
export function viaOf(fields: readonly Field[], version: '1.0' | '1.1'): string {
  let via = ''
  for (const { name, value } of fields) if (name === 'via' && value !== '') via += `${value}, `
  return `${via}${version} ${PSEUDONYM}`
}

function namesUs(value: string): boolean {
  // most have no such word
  if (!value.toLowerCase().includes(PSEUDONYM)) return false
  return value
    .replace(COMMENT, '')
    .split(',')
    .some((member) => OWN_MEMBER.test(member.trim()))
}
