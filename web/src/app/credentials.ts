/** The tokens of one sign-in. They live in this object's memory and nowhere else: no storage, no address, no DOM. */

import { localRefusal, RefusedError, type TokenRequest } from '@portcullis/client';
import type { AuthApi, Grant } from '../lib/api.ts';

export interface User {
  readonly id: string;
  readonly name: string;
}

/** A token that ends within this time is replaced before it is used. */
const NEARLY_OVER_MS = 5_000;

export class Credentials {
  readonly #auth: AuthApi | undefined;
  #access: string;
  #refresh: string | undefined;
  #expiresAt: number;
  /** One refresh at a time: the refresh token is good for one use, and using it twice ends the session. */
  #refreshing: Promise<string> | undefined;

  private constructor(auth: AuthApi | undefined, access: string, refresh: string | undefined, expiresAt: number) {
    this.#auth = auth;
    this.#access = access;
    this.#refresh = refresh;
    this.#expiresAt = expiresAt;
  }

  static granted(auth: AuthApi, grant: Grant): Credentials {
    return new Credentials(auth, grant.access_token, grant.refresh_token, Date.now() + grant.expires_in * 1000);
  }

  /** A token that somebody pasted. It cannot be renewed. */
  static pasted(token: string): Credentials {
    return new Credentials(undefined, token, undefined, Number.POSITIVE_INFINITY);
  }

  /** The client's token callback. */
  async token(request: TokenRequest): Promise<string> {
    switch (request.purpose) {
      case 'connect': {
        const nearlyOver = Date.now() > this.#expiresAt - NEARLY_OVER_MS;
        return nearlyOver && this.#refresh !== undefined ? this.#renew() : this.#access;
      }
      case 'replace':
      case 'reauthenticate':
        return this.#renew();
      default:
        return request satisfies never;
    }
  }

  /** Ends the session at the service too, as far as it can be reached. */
  async signOut(): Promise<void> {
    const refresh = this.#refresh;
    this.#access = '';
    this.#refresh = undefined;
    if (refresh !== undefined) await this.#auth?.logout(refresh).catch(() => undefined);
  }

  #renew(): Promise<string> {
    this.#refreshing ??= this.#exchange().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #exchange(): Promise<string> {
    if (this.#auth === undefined || this.#refresh === undefined) {
      throw new RefusedError(localRefusal('TOKEN_UNAVAILABLE', { title: 'This token cannot be renewed' }));
    }
    const grant = await this.#auth.refresh(this.#refresh);
    this.#access = grant.access_token;
    this.#refresh = grant.refresh_token ?? this.#refresh;
    this.#expiresAt = Date.now() + grant.expires_in * 1000;
    return this.#access;
  }
}
