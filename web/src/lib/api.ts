/** The plain HTTP side: the gateway's description of itself, and the sign-in service. Every failure is a `RefusedError`. */

import { localRefusal, problemRefusal, RefusedError } from '@portcullis/client';

/** `GET /ws/config`: what a client needs to know to be right. */
export interface GatewayConfig {
  readonly protocol_version: string;
  /** Where to sign in; absent where tokens come from elsewhere. */
  readonly auth_url?: string | null;
  readonly build?: string | null;
  readonly max_message_bytes?: number;
}

export interface Grant {
  readonly access_token: string;
  readonly expires_in: number;
  readonly refresh_token?: string;
  readonly user: { readonly id: string; readonly name?: string };
}

export async function fetchConfig(gateway: string): Promise<GatewayConfig> {
  const response = await request(new URL('/ws/config', gateway), { cache: 'no-store' });
  return (await response.json()) as GatewayConfig;
}

/** The sign-in service at `base`, as the gateway names it. */
export class AuthApi {
  readonly #base: string;
  readonly #gateway: string;

  constructor(base: string, gateway: string) {
    this.#base = base.endsWith('/') ? base : `${base}/`;
    this.#gateway = gateway;
  }

  login(username: string, password: string): Promise<Grant> {
    return this.#grant('auth/login', { username, password });
  }

  refresh(refreshToken: string): Promise<Grant> {
    return this.#grant('auth/refresh', { refresh_token: refreshToken });
  }

  /** Turns the code of a one-time link into a session. */
  link(code: string): Promise<Grant> {
    return this.#grant('auth/link', { code });
  }

  async logout(refreshToken: string): Promise<void> {
    await this.#post('auth/logout', { refresh_token: refreshToken });
  }

  async #grant(path: string, body: Record<string, string>): Promise<Grant> {
    const response = await this.#post(path, body);
    return (await response.json()) as Grant;
  }

  async #post(path: string, body: Record<string, string>): Promise<Response> {
    try {
      return await request(new URL(path, this.#base), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        cache: 'no-store',
      });
    } catch (error) {
      if (error instanceof RefusedError && error.refusal.reason === 'UNREACHABLE') throw await this.#whyUnreachable();
      throw error;
    }
  }

  /**
   * A browser reports a service that is down and one that does not allow this page's origin in the same way. The gateway
   * knows the difference and its preflight tells, before it looks for any credential.
   */
  async #whyUnreachable(): Promise<RefusedError> {
    const verdict = await preflight(this.#gateway).catch(() => undefined);
    if (verdict?.reason === 'ORIGIN_NOT_ALLOWED') return new RefusedError(verdict);
    return new RefusedError(
      localRefusal('UNREACHABLE', {
        title: 'The sign-in service does not answer',
        detail: `Nothing that this page may talk to answers at ${new URL(this.#base).origin}.`,
        remedy: 'Check that the service runs, that this device can reach it, and that it allows this page’s origin.',
      }),
    );
  }
}

async function preflight(gateway: string) {
  const response = await fetch(new URL('/ws/preflight', gateway), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ mode: 'main', protocols: [] }),
    cache: 'no-store',
  });
  return problemRefusal(await response.json().catch(() => undefined), 'preflight', response.status, response.headers);
}

async function request(url: URL, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    // The one cookie there is keeps attempts to sign in for this device, and opens nothing.
    response = await fetch(url, { ...init, credentials: 'same-origin' });
  } catch {
    throw new RefusedError(localRefusal('UNREACHABLE', { detail: `Nothing answers at ${url.origin}.` }));
  }
  if (response.ok) return response;
  throw new RefusedError(
    problemRefusal(await response.json().catch(() => undefined), 'http', response.status, response.headers),
  );
}
