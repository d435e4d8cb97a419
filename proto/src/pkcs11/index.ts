/** Private keys in tokens (PKCS #11), for gateways and CAs. A door of its own: agents need none of it. */

export type { TokenKeyFile } from './key-file.ts'
export { formatTokenKeyFile, isTokenKeyFile, parseTokenKeyFile } from './key-file.ts'
export type { KeyId, TokenUri } from './key-uri.ts'
export { formatTokenUri, parseTokenUri } from './key-uri.ts'
export type { TokenLink, TokenLinkOptions } from './token-link.ts'
export { openTokenLink } from './token-link.ts'
export type { TokenOnce } from './token-once.ts'
export { tokenOnce } from './token-once.ts'
