"""What a whole image shows. Such models are judged, registered and served; nothing here trains them yet."""
