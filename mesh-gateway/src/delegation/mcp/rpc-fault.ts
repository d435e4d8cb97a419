/** A fault of a message in terms of JSON-RPC. */
export class RpcFault extends Error {
  override readonly name = 'RpcFault'
  readonly code: number

  /** @param code of `RPC_ERRORS` */
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
