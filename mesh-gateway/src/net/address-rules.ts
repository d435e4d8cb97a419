/** The address rules of `_global.json`: `allowCidrs` and `denyCidrs`, compiled for look-ups. */
import { cidr } from './cidr.ts'
import { type RangeTable, rangeTable } from './range-table.ts'

export interface AddressRules {
  readonly allow: RangeTable
  readonly deny: RangeTable
}

/** @throws TypeError on an invalid range; `parseCidr` says why */
export function compileAddressRules(rules: {
  readonly allowCidrs: readonly string[]
  readonly denyCidrs: readonly string[]
}): AddressRules {
  return Object.freeze({
    allow: rangeTable(rules.allowCidrs.map(cidr)),
    deny: rangeTable(rules.denyCidrs.map(cidr)),
  })
}
