/**
 * Error replies of Redis (RESP, "Simple errors": the first word is the code). Some say that the server can serve nobody now;
 * any other is about the one question, as a key of another type is, and must not become a fault for all tenants.
 */
const ABOUT_THE_SERVER: ReadonlySet<string> = new Set([
  'BUSY',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'MISCONF',
  'NOAUTH',
  'NOPERM',
  'NOREPLICAS',
  'OOM',
  'READONLY',
  'UNKILLABLE',
  'WRONGPASS',
])

export function refusesOneQuestion(cause: unknown): boolean {
  // the class of ioredis is not typed, and loading it takes megabytes
  if (!(cause instanceof Error) || cause.name !== 'ReplyError') return false
  const [code = ''] = cause.message.split(' ', 1)
  return !ABOUT_THE_SERVER.has(code)
}
