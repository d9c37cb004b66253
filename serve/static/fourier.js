// The fast Fourier transform of real frames, as powers: radix 2, in place.

/**
 * A function that gives the powers of a frame under a Hann window.
 * @param {number} size of a frame, a power of two
 * @returns {(samples: Float32Array, start: number, powers: Float32Array) => void} powers: size / 2 + 1 values
 */
export function fourier(size) {
  const real = new Float32Array(size), imaginary = new Float32Array(size);
  const window = Float32Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
  const cosine = Float32Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
  const sine = Float32Array.from({ length: size / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
  const bits = Math.log2(size);
  const reversed = Uint32Array.from({ length: size }, (_, i) => {
    let place = 0;
    for (let bit = 0; bit < bits; bit++) if (i & (1 << bit)) place |= 1 << (bits - 1 - bit);
    return place;
  });
  return (samples, start, powers) => {
    for (let i = 0; i < size; i++) {
      real[reversed[i]] = (samples[start + i] ?? 0) * window[i];
      imaginary[i] = 0;
    }
    for (let half = 1; half < size; half *= 2) {
      const step = size / (2 * half);
      for (let first = 0; first < size; first += 2 * half) {
        for (let i = 0; i < half; i++) {
          const a = first + i, b = a + half, c = cosine[i * step], s = sine[i * step];
          const r = real[b] * c - imaginary[b] * s, m = real[b] * s + imaginary[b] * c;
          real[b] = real[a] - r;
          imaginary[b] = imaginary[a] - m;
          real[a] += r;
          imaginary[a] += m;
        }
      }
    }
    for (let i = 0; i <= size / 2; i++) powers[i] = real[i] ** 2 + imaginary[i] ** 2;
  };
}
