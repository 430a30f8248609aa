// Tokens of a backend that shares its secret with the server.
import { createHmac } from "node:crypto";

export const SECRET = "0123456789abcdef0123456789abcdef";

export function token(sub: string, seconds: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, name: sub, iat: now, exp: now + seconds })}`;
  return `${body}.${createHmac("sha256", SECRET).update(body).digest("base64url")}`;
}
