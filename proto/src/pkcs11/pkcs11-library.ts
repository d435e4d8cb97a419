/**
 * The part of the package pkcs11js that is used. Its own types are not imported: it is an optional package with native
 * code, and Clawmesh is built and runs where it could not be installed. Functions and constants: PKCS #11 v2.40.
 */

export interface Attribute {
  readonly type: number
  readonly value?: Buffer | number | boolean | string
}

interface Mechanism {
  readonly mechanism: number
}

/** Sessions, slots and objects are opaque handles. Each function throws with a message that begins with `CKR_`. */
export interface Pkcs11Module {
  load(path: string): void
  C_Initialize(): void
  C_GetSlotList(withToken: boolean): Buffer[]
  C_GetTokenInfo(slot: Buffer): { readonly label: string; readonly flags: number }
  C_OpenSession(slot: Buffer, flags: number): Buffer
  C_Login(session: Buffer, user: number, pin: string): void
  C_FindObjectsInit(session: Buffer, template: Attribute[]): void
  C_FindObjects(session: Buffer, max: number): Buffer[]
  C_FindObjectsFinal(session: Buffer): void
  C_DestroyObject(session: Buffer, object: Buffer): void
  C_GetAttributeValue(session: Buffer, object: Buffer, template: Attribute[]): Attribute[]
  C_GenerateKeyPair(
    session: Buffer,
    mechanism: Mechanism,
    publicKey: Attribute[],
    privateKey: Attribute[],
  ): { readonly publicKey: Buffer; readonly privateKey: Buffer }
  C_SignInit(session: Buffer, mechanism: Mechanism, key: Buffer): void
  C_Sign(session: Buffer, digest: Buffer, out: Buffer): Buffer
}

type Constant =
  | 'CKF_SERIAL_SESSION'
  | 'CKF_RW_SESSION'
  | 'CKU_USER'
  | 'CKO_PRIVATE_KEY'
  | 'CKO_PUBLIC_KEY'
  | 'CKK_EC'
  | 'CKM_ECDSA'
  | 'CKM_EC_KEY_PAIR_GEN'
  | `CKA_${'KEY_TYPE' | 'TOKEN' | 'ID' | 'LABEL' | 'CLASS' | 'EC_PARAMS' | 'EC_POINT'}`
  | `CKA_${'VERIFY' | 'SIGN' | 'PRIVATE' | 'SENSITIVE' | 'EXTRACTABLE'}`

export interface Pkcs11Library extends Readonly<Record<Constant, number>> {
  /** Not in every release. */
  readonly CKF_USER_PIN_LOCKED?: number
  readonly CKF_USER_PIN_FINAL_TRY?: number
  readonly PKCS11: new () => Pkcs11Module
}
