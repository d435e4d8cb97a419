/** What OpenSSL says of a failed handshake, without the names of its functions and source files. */

/** @param noTls what to say where the other side does not speak TLS at all */
export function ofOpenSsl(message: string, noTls: string): string {
  const reason = /:error:[0-9A-F]{8}:SSL routines:[^:]*:([^:]*):/.exec(message)?.[1]
  if (reason === undefined) return message
  return reason === 'wrong version number' ? noTls : `TLS failed: ${reason}`
}
