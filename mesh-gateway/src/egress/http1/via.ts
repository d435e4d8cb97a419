/** The Via header, in which proxies name themselves (RFC 9110, section 7.6.3); it also detects a loop. */
import type { Field } from './head.ts'

/** The pseudonym of every Clawmesh gateway: a gateway behind another is taken for a loop. */
const PSEUDONYM = 'clawmesh'
const OWN_MEMBER = new RegExp(`^(?:[^\\s/]+/)?[^\\s/]+[\\t ]+${PSEUDONYM}(?::[0-9]*)?$`, 'i')
const COMMENT = /\([^()]*\)/g

/** True when the request has already passed a Clawmesh gateway. */
export function isLoop(fields: readonly Field[]): boolean {
  for (const { name, value } of fields) if (name === 'via' && namesUs(value)) return true
  return false
}

/** The value of the one forwarded field: the received values in their order, then ours. */
export function viaOf(fields: readonly Field[], version: '1.0' | '1.1'): string {
  let via = ''
  for (const { name, value } of fields) if (name === 'via' && value !== '') via += `${value}, `
  return `${via}${version} ${PSEUDONYM}`
}

function namesUs(value: string): boolean {
  // fast path: most values lack the word
  if (!value.toLowerCase().includes(PSEUDONYM)) return false
  return value
    .replace(COMMENT, '')
    .split(',')
    .some((member) => OWN_MEMBER.test(member.trim()))
}
