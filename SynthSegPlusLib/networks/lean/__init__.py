"""Lean execution of the networks: the same numbers as the Keras models with less arithmetic and memory.

Volumes pass through the network in chunks of planes along x. Three identities save arithmetic:

- a convolution over ``concat(skip, up)`` is the sum of two convolutions, so the concatenation is
  never built (`_layers`);
- a convolution of a nearest-neighbour upsampled volume can be done before upsampling
  (`_upsampling`): 27 products per coarse voxel instead of 216 for a kernel of 3;
- along x, convolutions use Winograd's minimal filtering (`_winograd`): 6 products for 4 outputs of a
  kernel of 3 instead of 12, where the backend fuses the additions that it costs. In 16 bits, where products
  are cheap, a kernel of 3 is convolved plainly, and oneDNN adds bias and activation in the same pass.
"""
