/** The operational log of the gateway: JSON lines on stderr. Secrets are redacted in every field. */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import {
  type DestinationStream,
  destination,
  type LevelWithSilent,
  pino,
  stdSerializers,
} from 'pino'

export interface OperationalLog extends Log {
  setLevel(level: LevelWithSilent): void
}

const SECRET_FIELDS = [
  'token',
  'authorization',
  'proxyAuthorization',
  'privateKey',
  'key',
  'passphrase',
  'password',
  'secret',
]

/**
 * @param stream default: stderr, written synchronously so that the last lines of a dying process arrive
 * @param base fields of every line
 */
export function createOperationalLog(
  level: LevelWithSilent,
  stream: DestinationStream = stderr(),
  base: Readonly<Record<string, number>> = {},
): OperationalLog {
  const logger = pino(
    {
      level,
      base: { ...base },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.errWithCause },
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
        censor: '[redacted]',
      },
    },
    stream,
  )
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    setLevel(next) {
      logger.level = next
    },
  }
}

function stderr(): DestinationStream {
  const stream = destination({ dest: 2, sync: true })
  stream.on('error', () => {
    // a closed log is no reason for a gateway to stop
  })
  return stream
}
