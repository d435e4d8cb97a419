/** The configuration of the export of spans: off unless a collector is named. */
import { isLoopback } from '@clawmesh/agent-sdk/mesh'
import { z } from 'zod'

const RATIO = 'must be a number from 0 to 1'

const url = z.string().superRefine((text, context) => {
  const parsed = URL.canParse(text) ? new URL(text) : null
  const fault =
    (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') || parsed.hostname === ''
      ? 'must be http:// or https://, with the path: http://127.0.0.1:4318/v1/traces'
      : parsed.username !== '' || parsed.password !== ''
        ? 'must not carry credentials; a token belongs into tokenFile'
        : parsed.pathname === '/'
          ? 'must have the path, which is /v1/traces by default'
          : null
  if (fault !== null) context.addIssue({ code: 'custom', message: fault })
})
const file = z.string().min(1, 'must not be empty').nullable().default(null)

const shape = z
  .strictObject({
    url: url.nullable().default(null),
    caFile: file,
    tokenFile: file,
    ratio: z
      .union([z.number(), z.string().regex(/^[\d.]{1,20}$/, RATIO)], RATIO)
      .default(1)
      .transform(Number)
      .refine((value) => value >= 0 && value <= 1, RATIO),
  })
  .superRefine((section, context) => {
    const fault = (key: string, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message })
    // a URL that is none is told of already
    const target = section.url === null ? null : URL.parse(section.url)
    if (section.url !== null && target === null) return
    if (section.caFile !== null && target?.protocol !== 'https:')
      fault('caFile', 'has no effect without https:// in traces.url')
    if (section.tokenFile !== null && target === null)
      fault('tokenFile', 'has no effect without traces.url')
    // a token in the clear goes no further than this machine
    if (section.tokenFile !== null && target?.protocol === 'http:' && !isLoopback(target.hostname))
      fault('tokenFile', 'needs https:// in traces.url, or a loopback address')
  })

export const traceExport = z.preprocess((value) => value ?? {}, shape)

/** Where spans are posted, and with which files. */
export type TraceExportConfig = Readonly<z.output<typeof shape>>
