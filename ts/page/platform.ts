/** Why this browser cannot look into files, if it cannot: the WASM has threads, which need shared memory. */
export const whyNot = (): string | undefined => {
  if (globalThis.crossOriginIsolated && typeof SharedArrayBuffer === 'function') return undefined
  return [
    'This browser gives the page no shared memory, which it needs to look into files.',
    globalThis.crossOriginIsolated
      ? 'Use a browser that has SharedArrayBuffer.'
      : 'It must be served with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, as vfio-migration view does.',
  ].join(' ')
}
