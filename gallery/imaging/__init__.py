"""Compares pictures. Uses no Django: limits are arguments.

``decoding`` turns a file into pictures. ``descriptors`` turn pictures into vectors and hashes.
``local_features``, ``geometry`` (with ``transforms`` and ``regions``) and ``image_registration``
compare two pictures. ``trimming`` finds margins, ``inner_pictures`` finds pictures inside a
picture, ``frame_selection`` selects frames of an animation. ``drawing`` and ``renditions`` make
pictures for people.
"""
