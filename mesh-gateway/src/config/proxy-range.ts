/** A range of addresses of proxies: narrow enough that no client is within it by chance. */
import { z } from 'zod'
import { parseCidr } from '../net/cidr.ts'

/** The widest private networks, 10.0.0.0/8 and fd00::/8. A list of 100 such ranges is not every address either. */
const LEAST_PROXY_PREFIX = 8

export const proxyRange = z.string().superRefine((text, context) => {
  const range = parseCidr(text)
  const message = typeof range === 'string' ? range : faultOfWidth(range.prefix)
  if (message !== null) context.addIssue({ code: 'custom', message })
})

function faultOfWidth(prefix: number): string | null {
  if (prefix >= LEAST_PROXY_PREFIX) return null
  const what = prefix === 0 ? 'is every address' : `is wider than /${LEAST_PROXY_PREFIX}`
  return `${what}: any client could then claim the address of another`
}
