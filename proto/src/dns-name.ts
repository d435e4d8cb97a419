/** DNS labels and host names as RFC 1123 section 2.1 has them: letters, digits, hyphens; here lower case only. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** True of one lower-case label of 1 to 63 characters. */
export function isDnsLabel(value: string): boolean {
  return LABEL.test(value)
}

/** True of a lower-case name of one or more labels, 253 characters at most, without a trailing dot. */
export function isDnsName(value: string): boolean {
  return value.length <= 253 && value.split('.').every(isDnsLabel) && !/(?:^|\.)\d+$/.test(value)
}
