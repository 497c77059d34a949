/* xxHash32: four lanes over stripes of 16 bytes, then the rest word by word and byte by byte. */

const PRIME_1: u32 = 2654435761;
const PRIME_2: u32 = 2246822519;
const PRIME_3: u32 = 3266489917;
const PRIME_4: u32 = 668265263;
const PRIME_5: u32 = 374761393;

// @ts-ignore: decorator
@inline
function round(lane: u32, word: u32): u32 {
  return rotl<u32>(lane + word * PRIME_2, 13) * PRIME_1;
}

export function xxhash32(address: usize, length: usize, seed: u32): u32 {
  let left = length;
  let hash: u32 = seed + PRIME_5;
  if (left >= 16) {
    let a = seed + PRIME_1 + PRIME_2;
    let b = seed + PRIME_2;
    let c = seed;
    let d = seed - PRIME_1;
    do {
      a = round(a, load<u32>(address));
      b = round(b, load<u32>(address, 4));
      c = round(c, load<u32>(address, 8));
      d = round(d, load<u32>(address, 12));
      address += 16;
      left -= 16;
    } while (left >= 16);
    hash = rotl<u32>(a, 1) + rotl<u32>(b, 7) + rotl<u32>(c, 12) + rotl<u32>(d, 18);
  }
  hash += <u32>length;
  while (left >= 4) {
    hash = rotl<u32>(hash + load<u32>(address) * PRIME_3, 17) * PRIME_4;
    address += 4;
    left -= 4;
  }
  while (left > 0) {
    hash = rotl<u32>(hash + <u32>load<u8>(address) * PRIME_5, 11) * PRIME_1;
    address++;
    left--;
  }
  hash = (hash ^ (hash >> 15)) * PRIME_2;
  hash = (hash ^ (hash >> 13)) * PRIME_3;
  return hash ^ (hash >> 16);
}
