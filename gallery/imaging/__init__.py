"""Pictures without Django: limits come as arguments.

``decoding`` turns a file into pictures, ``descriptors`` turn pictures into vectors and hashes.
``local_features``, ``geometry`` (with ``transforms`` and ``regions``) and ``image_registration``
compare two pictures. ``trimming`` finds margins, ``inner_pictures`` pictures inside a picture,
``frame_selection`` the frames of an animation that count. ``drawing`` and ``renditions`` make
pictures for people.
"""
